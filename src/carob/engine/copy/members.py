"""The members of a tree or a tar, one after the other, parents before what is in them."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from carob.engine.observe.owners import SAME, Owners
from carob.errors import Conflict, InvalidInput
from carob.image.files.metadata import read_xattrs
from carob.image.files.rooted import DIRECTORY, open_without_links
from carob.image.tar.entry import DEVICES, Entry, EntryType
from carob.image.tar.reader import TarReader
from carob.linux.files import file_system_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Member = tuple[Entry, Iterable[memoryview]]

PIECE_BYTES = 1 << 18
_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFCHR: EntryType.CHARACTER_DEVICE,
    stat.S_IFBLK: EntryType.BLOCK_DEVICE,
    stat.S_IFDIR: EntryType.DIRECTORY,
    stat.S_IFIFO: EntryType.FIFO,
}
# A directory that the app has removed, or put something else in the place of, since it was listed.
_WENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
# Views of the kernel, endless or meaningless elsewhere: proc, sysfs, cgroup and cgroup2 (statfs(2)).
_VIEWS = frozenset((0x9FA0, 0x62656572, 0x27E0EB, 0x63677270))
_VIEW_BYTES = 1 << 24


def of_tar(fd: int, what: str) -> Iterator[Member]:
    """The members of the tar that comes from an open file or pipe. Raises ``CorruptData``."""
    reader = TarReader(lambda: os.read(fd, PIECE_BYTES), what)
    for entry in reader:
        yield entry, reader.data()


class Tree:
    """What is at ``name`` in an open directory and below it, as members whose paths begin with ``shown``.

    With no ``shown`` the members are what is in that directory, and not it itself. No link is followed.
    Sockets are left out, which mean nothing without their process, and so is what is in /proc and /sys; a
    socket that is ``name`` itself is refused (``InvalidInput``), and such a file of the kernel's read whole.
    ``owners`` turns what the host sees into what the members say. What is removed meanwhile is left out;
    ``Conflict`` where a file shrinks.
    """

    def __init__(self, dir_fd: int, name: bytes, shown: bytes, owners: Owners = SAME) -> None:
        self._dir_fd = dir_fd
        self._name = name
        self._shown = shown
        self._owners = owners
        self._linked: dict[tuple[int, int], bytes] = {}

    def __iter__(self) -> Iterator[Member]:
        kind = None
        for member in self._members(self._dir_fd, self._name, self._shown):
            kind = member[0].type
            if self._shown:
                yield member
        if kind is None:
            raise InvalidInput(f"{os.fsdecode(self._name)!r} is a socket: there is nothing to copy")
        if kind is not EntryType.DIRECTORY:
            return
        top_fd = os.open(self._name, DIRECTORY | os.O_NOFOLLOW, dir_fd=self._dir_fd)
        try:
            yield from self._below(top_fd)
        finally:
            os.close(top_fd)

    def _below(self, top_fd: int) -> Iterator[Member]:
        waiting = [b""]
        while waiting:
            path = waiting.pop()
            inner = []
            try:
                fd = open_without_links(top_fd, path)
            except OSError as error:
                if error.errno in _WENT:
                    continue
                raise
            try:
                if path and file_system_type(fd) in _VIEWS:
                    continue
                for name in sorted(os.fsencode(name) for name in os.listdir(fd)):
                    below = path + b"/" + name if path else name
                    for member in self._members(
                        fd, name, self._shown + b"/" + below if self._shown else below
                    ):
                        yield member
                        if member[0].type is EntryType.DIRECTORY:
                            inner.append(below)
            finally:
                os.close(fd)
            waiting += reversed(inner)

    def _members(self, dir_fd: int, name: bytes, path: bytes) -> Iterator[Member]:
        """The member that is under this name, if it can be one; a file is open only while it is given."""
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        if kind is EntryType.FILE:
            fd = open_regular(dir_fd, name)
            try:
                yield self._file(fd, path)
            finally:
                os.close(fd)
            return
        target = os.readlink(name, dir_fd=dir_fd) if kind is EntryType.SYMLINK else b""
        entry = self._entry(path, kind, status, target=target)
        entry.xattrs = read_xattrs(b"/proc/self/fd/%d/%s" % (dir_fd, name))
        yield entry, ()

    def _file(self, fd: int, path: bytes) -> Member:
        status = os.fstat(fd)
        key = (status.st_dev, status.st_ino)
        first = self._linked.setdefault(key, path) if status.st_nlink > 1 else path
        if first != path:
            return self._entry(path, EntryType.HARD_LINK, status, target=first), ()
        entry = self._entry(path, EntryType.FILE, status)
        entry.xattrs = read_xattrs(fd)
        if file_system_type(fd) in _VIEWS:
            content = _read_view(fd, path)
            entry.size_bytes = len(content)
            return entry, (memoryview(content),)
        return entry, _data(fd, entry)

    def _entry(self, path: bytes, kind: EntryType, status: os.stat_result, *, target: bytes = b"") -> Entry:
        uid, gid = self._owners.inside(status.st_uid, status.st_gid)
        device = kind in DEVICES
        return Entry(
            path=path,
            type=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=uid,
            gid=gid,
            mtime_ns=status.st_mtime_ns,
            size_bytes=status.st_size if kind is EntryType.FILE else 0,
            link_target=target,
            device_major=os.major(status.st_rdev) if device else 0,
            device_minor=os.minor(status.st_rdev) if device else 0,
        )


def open_regular(dir_fd: int, name: bytes) -> int:
    """Opens a plain file for reading: never a fifo, a device or a link that has taken its name.

    Raises ``Conflict`` for those: to open one may wait without end, or do something.
    """
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise Conflict(f"{os.fsdecode(name)!r} changed while it was read", hint="try again")
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(found)


def _read_view(fd: int, path: bytes) -> bytes:
    """What the kernel tells in a file whose size means nothing."""
    content = bytearray()
    while piece := os.read(fd, PIECE_BYTES):
        content += piece
        if len(content) > _VIEW_BYTES:
            shown = repr(os.fsdecode(path))
            raise InvalidInput(f"{shown} is of the kernel, and has more than {_VIEW_BYTES} bytes")
    return bytes(content)


def _data(fd: int, entry: Entry) -> Iterator[memoryview]:
    """The bytes that the file had when it was opened."""
    left = entry.size_bytes
    while left:
        piece = os.read(fd, min(left, PIECE_BYTES))
        if not piece:
            shown = repr(os.fsdecode(entry.path))
            raise Conflict(f"{shown} became shorter while it was read", hint="try again")
        left -= len(piece)
        yield memoryview(piece)
