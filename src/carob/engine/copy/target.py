"""Where members go: a directory, or a tar."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from carob.engine.observe.owners import SAME, Owners
from carob.errors import Conflict, CorruptData
from carob.image.files.durable import write_all
from carob.image.files.metadata import MetadataWriter, check_xattrs
from carob.image.files.paths import clean_path
from carob.image.files.rooted import open_without_links
from carob.image.tar.entry import DEVICES, Entry, EntryType
from carob.image.tar.writer import END_OF_ARCHIVE, encode_header, padding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carob.engine.copy.members import Member

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RIGHTS = ("security.", "trusted.")


def to_tar(members: Iterable[Member], fd: int) -> None:
    """Writes members to an open file or pipe as a tar, with all that they have."""
    for entry, data in members:
        write_all(fd, encode_header(entry))
        for piece in data:
            write_all(fd, piece.tobytes())
        write_all(fd, padding(entry.size_bytes))
    write_all(fd, END_OF_ARCHIVE)


def to_tree(
    members: Iterable[Member], base_fd: int, *, owners: Owners = SAME, trusted: bool, keeps_owners: bool
) -> None:
    """Puts members into an open directory, each whole under its name in place of what was there.

    Of what is not ``trusted`` no device is made, nor does a file keep what would give a right on the host:
    set-id bits, capabilities. What is a directory is not replaced by something else, nor the reverse; a
    device, a fifo or a socket is never replaced: others use it by its name.
    """
    tree = _Tree(base_fd, owners, trusted=trusted, keeps_owners=keeps_owners)
    try:
        for entry, data in members:
            tree.add(entry, data)
        tree.finish_directories()
    finally:
        tree.close()


class _Tree:
    def __init__(self, base_fd: int, owners: Owners, *, trusted: bool, keeps_owners: bool) -> None:
        self._base_fd = base_fd
        self._owners = owners
        self._trusted = trusted
        self._writer = MetadataWriter((-1, -1), keeps_owners=keeps_owners)  # nobody is taken as given
        self._directories: dict[bytes, Entry] = {}
        self._parent = b""
        self._parent_fd = os.dup(base_fd)

    def add(self, entry: Entry, data: Iterable[memoryview]) -> None:
        path = clean_path(entry.path, "what is copied")
        if not path:
            return  # the directory that it all goes into stays as it is
        if entry.type in DEVICES and not self._trusted:
            return
        self._prepare(entry)
        parent, _, name = path.rpartition(b"/")
        self._enter(parent)
        try:
            match entry.type:
                case EntryType.DIRECTORY:
                    self._make_directory(name)
                    self._directories[path] = entry
                case EntryType.FILE:
                    self._put(name, lambda temporary: self._write(temporary, entry, data))
                case EntryType.HARD_LINK:
                    self._put(name, lambda temporary: self._link(temporary, entry))
                case _:
                    self._put(name, lambda temporary: self._make(temporary, entry))
        except OSError as error:
            raise self._told(error, path) from error

    def _prepare(self, entry: Entry) -> None:
        check_xattrs(entry, os.fsdecode(entry.path))
        entry.uid, entry.gid = self._owners.outside(entry.uid, entry.gid)
        if not self._trusted:
            entry.mode &= 0o1777
            entry.xattrs = {key: value for key, value in entry.xattrs.items() if not key.startswith(_RIGHTS)}

    def _enter(self, parent: bytes) -> None:
        """Opens the directory that the next member goes into; one that no member named is made."""
        if parent == self._parent:
            return
        os.close(self._parent_fd)
        self._parent_fd = -1
        try:
            self._parent_fd = self._opened(parent)
        except NotADirectoryError as error:
            raise self._told(error, parent) from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise self._told(error, parent) from error
            raise
        self._parent = parent

    def _opened(self, path: bytes) -> int:
        try:
            return open_without_links(self._base_fd, path)
        except FileNotFoundError:
            above, _, name = path.rpartition(b"/")
            above_fd = self._opened(above)
            try:
                os.mkdir(name, 0o755, dir_fd=above_fd)
            except FileExistsError:
                pass
            finally:
                os.close(above_fd)
            return open_without_links(self._base_fd, path)

    def _make_directory(self, name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=self._parent_fd)
        except FileExistsError:
            status = os.stat(name, dir_fd=self._parent_fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None

    def _put(self, name: bytes, make: Callable[[bytes], None]) -> None:
        """Makes something under a name of its own beside the one that it then takes."""
        self._check_replaceable(name)
        temporary = b".carob-" + os.urandom(8).hex().encode()
        try:
            make(temporary)
            os.rename(temporary, name, src_dir_fd=self._parent_fd, dst_dir_fd=self._parent_fd)
        finally:
            # rename(2) of one of two links to a file does nothing, so the other name may still be there.
            try:
                os.unlink(temporary, dir_fd=self._parent_fd)
            except FileNotFoundError:
                pass

    def _check_replaceable(self, name: bytes) -> None:
        try:
            mode = os.stat(name, dir_fd=self._parent_fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
            shown = repr(os.fsdecode(name))
            raise Conflict(f"{shown} is there and a device, a fifo or a socket", hint="remove it first")

    def _write(self, name: bytes, entry: Entry, data: Iterable[memoryview]) -> None:
        fd = os.open(name, _NEW_FILE, 0o600, dir_fd=self._parent_fd)
        try:
            if entry.extents is None:
                _write_data(fd, data)
            else:
                from carob.image.files.data import write_data

                write_data(fd, entry, data)
            self._writer.set_open(fd, entry)
        finally:
            os.close(fd)

    def _link(self, name: bytes, entry: Entry) -> None:
        above, _, last = clean_path(entry.link_target, "what is copied").rpartition(b"/")
        above_fd = open_without_links(self._base_fd, above)
        try:
            os.link(last, name, src_dir_fd=above_fd, dst_dir_fd=self._parent_fd, follow_symlinks=False)
        finally:
            os.close(above_fd)

    def _make(self, name: bytes, entry: Entry) -> None:
        if entry.type is EntryType.SYMLINK:
            os.symlink(entry.link_target, name, dir_fd=self._parent_fd)
        elif entry.type is EntryType.FIFO:
            os.mkfifo(name, 0o600, dir_fd=self._parent_fd)
        else:
            kind = stat.S_IFCHR if entry.type is EntryType.CHARACTER_DEVICE else stat.S_IFBLK
            device = os.makedev(entry.device_major, entry.device_minor)
            os.mknod(name, kind | 0o600, device, dir_fd=self._parent_fd)
        self._writer.set_named(self._parent_fd, name, entry)

    def finish_directories(self) -> None:
        """Gives directories what they have once all is in them: a time, and perhaps no right to write."""
        for path, entry in sorted(self._directories.items(), reverse=True):
            fd = open_without_links(self._base_fd, path)
            try:
                self._writer.set_open(fd, entry)
            finally:
                os.close(fd)

    def close(self) -> None:
        if self._parent_fd >= 0:
            os.close(self._parent_fd)

    def _told(self, error: OSError, path: bytes) -> Exception:
        """What is in the way is the caller's to move; all else is told by who tells of system calls."""
        shown = repr(os.fsdecode(path))
        match error.errno:
            case errno.ENOTDIR | errno.ELOOP:
                return Conflict(f"{shown} is there and no directory", hint="remove it first")
            case errno.EISDIR | errno.ENOTEMPTY | errno.EEXIST:
                return Conflict(f"{shown} is there and a directory", hint="remove it first")
            case errno.EBUSY:
                return Conflict(f"{shown} is a mount point", hint="write to it from inside: carob enter")
            case errno.ENOENT:
                return CorruptData(f"{shown} is a link to what was not copied")
            case _:
                error.filename = os.fsdecode(path)
                return error


def _write_data(fd: int, data: Iterable[memoryview]) -> None:
    """Writes pieces one after the other; what is zeros becomes a hole."""
    size = written = 0
    for piece in data:
        length = len(piece)
        if length >= 4096 and not piece[0] and not piece[-1] and piece == bytes(length):
            size += length
            continue
        position = size
        view = piece
        while view:
            count = os.pwrite(fd, view, position)
            position += count
            view = view[count:]
        size = written = position
    if size > written:
        os.ftruncate(fd, size)
