"""Packing a directory into a layer, the same bytes for the same tree.

Members are sorted by name. Kept are owner, mode, times to the nanosecond, hard links, devices, fifos and
extended attributes, but for overlayfs's own and for the labels of the host; sockets are passed over, which
mean nothing without their process; holes are written as zeros, as the image specification advises.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from carob.errors import Conflict, InvalidInput
from carob.image.files.metadata import read_xattrs
from carob.image.files.overlay import is_whiteout
from carob.image.files.paths import WHITEOUT
from carob.image.files.rooted import DIRECTORY, open_without_links
from carob.image.tar.entry import DEVICES, Entry, EntryType
from carob.image.tar.writer import END_OF_ARCHIVE, encode_header, padding

_PIECE_BYTES = 1 << 20
_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFCHR: EntryType.CHARACTER_DEVICE,
    stat.S_IFBLK: EntryType.BLOCK_DEVICE,
    stat.S_IFDIR: EntryType.DIRECTORY,
    stat.S_IFIFO: EntryType.FIFO,
}

Write = Callable[[bytes], object]


def pack_directory(path: str, write: Write, on_entry: Callable[[Entry], object]) -> None:
    """Gives the tar of the tree at ``path`` to ``write``, and each entry to ``on_entry``.

    ``InvalidInput`` where the tree cannot be a layer (a name that begins with ``.wh.``, a device 0/0, a
    mount point inside); ``Conflict`` where a file changed meanwhile.
    """
    root_fd = os.open(path, DIRECTORY)
    try:
        _Packing(path, root_fd, write, on_entry).run()
    finally:
        os.close(root_fd)
    write(END_OF_ARCHIVE)


def entry_of(
    path: bytes, kind: EntryType, status: os.stat_result, xattrs: dict[str, bytes], target: bytes
) -> Entry:
    """What a tar tells of a file; ``target`` is that of a link."""
    is_device = kind in DEVICES
    return Entry(
        path=path,
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        size_bytes=status.st_size if kind is EntryType.FILE else 0,
        link_target=target,
        device_major=os.major(status.st_rdev) if is_device else 0,
        device_minor=os.minor(status.st_rdev) if is_device else 0,
        xattrs=xattrs,
    )


class _Packing:
    def __init__(self, root: str, root_fd: int, write: Write, on_entry: Callable[[Entry], object]) -> None:
        self._root = root
        self._root_fd = root_fd
        self._write = write
        self._on_entry = on_entry
        self._linked: dict[tuple[int, int], bytes] = {}
        self._mount_points: frozenset[bytes] | None = None

    def run(self) -> None:
        status = os.fstat(self._root_fd)
        self._add(b".", EntryType.DIRECTORY, status, read_xattrs(self._root_fd))
        waiting = [b""]
        while waiting:
            path = waiting.pop()
            # Reversed, so that the first directory by name is the next one taken.
            waiting += reversed(self._pack_directory(path, status.st_dev))

    def _pack_directory(self, path: bytes, device: int) -> list[bytes]:
        """Packs the files of one directory; returns the paths of the directories in it, in order."""
        directories = []
        dir_fd = open_without_links(self._root_fd, path)
        try:
            for name in sorted(os.fsencode(name) for name in os.listdir(dir_fd)):
                inner = path + b"/" + name if path else name
                status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
                self._check(inner, name, status, device)
                kind = _TYPES.get(stat.S_IFMT(status.st_mode))
                if kind is None:
                    continue
                if kind is EntryType.FILE:
                    self._add_file(inner, dir_fd, name)
                    continue
                if kind is EntryType.DIRECTORY:
                    directories.append(inner)
                target = os.readlink(name, dir_fd=dir_fd) if kind is EntryType.SYMLINK else b""
                xattrs = read_xattrs(b"/proc/self/fd/%d/%s" % (dir_fd, name))
                self._add(inner, kind, status, xattrs, target=target)
        finally:
            os.close(dir_fd)
        return directories

    def _check(self, path: bytes, name: bytes, status: os.stat_result, device: int) -> None:
        shown = os.path.join(self._root, os.fsdecode(path))
        if name.startswith(WHITEOUT):
            raise InvalidInput(f"{shown!r}: in a layer such a name would mean a deleted file")
        if is_whiteout(status):
            raise InvalidInput(
                f"{shown!r} is overlayfs's mark of a deleted file",
                hint="import a whole root file system, not the upper directory of a mount",
            )
        if status.st_dev != device and self._is_mount_point(path):
            raise InvalidInput(f"{shown!r} is a mount point", hint="unmount it, or import a copy of the tree")

    def _is_mount_point(self, path: bytes) -> bool:
        if self._mount_points is None:
            with open("/proc/self/mountinfo", "rb") as file:
                points = (line.split(b" ")[4] for line in file)
                self._mount_points = frozenset(
                    point.decode("unicode_escape").encode("latin-1") for point in points
                )
        return os.path.realpath(os.fsencode(self._root)) + b"/" + path in self._mount_points

    def _add_file(self, path: bytes, dir_fd: int, name: bytes) -> None:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise self._changed(path)
            first = (
                self._linked.setdefault((status.st_dev, status.st_ino), path) if status.st_nlink > 1 else path
            )
            if first != path:
                self._add(path, EntryType.HARD_LINK, status, {}, target=first)
                return
            self._add(path, EntryType.FILE, status, read_xattrs(fd))
            self._write_data(fd, status.st_size, path)
            after = os.fstat(fd)
            if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
                raise self._changed(path)
        finally:
            os.close(fd)

    def _write_data(self, fd: int, size_bytes: int, path: bytes) -> None:
        remaining = size_bytes
        while remaining:
            piece = os.read(fd, min(remaining, _PIECE_BYTES))
            if not piece:
                raise self._changed(path)
            remaining -= len(piece)
            self._write(piece)
        self._write(padding(size_bytes))

    def _changed(self, path: bytes) -> Conflict:
        shown = os.path.join(self._root, os.fsdecode(path))
        return Conflict(f"{shown!r} changed while it was read", hint="import a tree that nobody writes to")

    def _add(
        self,
        path: bytes,
        kind: EntryType,
        status: os.stat_result,
        xattrs: dict[str, bytes],
        *,
        target: bytes = b"",
    ) -> None:
        entry = entry_of(path, kind, status, xattrs, target)
        self._write(encode_header(entry))
        self._on_entry(entry)
