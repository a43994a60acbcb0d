"""What overlayfs would show of stacked layers, as one tar: without a mount, and with nothing copied first.

Members are sorted by name, a directory's own files before the directories in it. Owners, modes, times, hard
links, devices, fifos and extended attributes are kept; sockets are passed over. A file that is written to
meanwhile is as long in the tar as it was when it was opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from carob.image.files.metadata import read_xattrs
from carob.image.files.overlay import is_opaque, is_whiteout
from carob.image.files.pack import entry_of
from carob.image.files.rooted import DIRECTORY, open_without_links, opened_directories
from carob.image.tar.entry import EntryType
from carob.image.tar.writer import END_OF_ARCHIVE, encode_header, padding

Write = Callable[[bytes], object]
Owners = Callable[[int, int], tuple[int, int]]

_PIECE_BYTES = 1 << 20
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFCHR: EntryType.CHARACTER_DEVICE,
    stat.S_IFBLK: EntryType.BLOCK_DEVICE,
    stat.S_IFIFO: EntryType.FIFO,
}


def pack_layers(layers: Sequence[str], write: Write, owners: Owners | None = None) -> None:
    """Gives the tar of the merged ``layers`` (directories, top first) to ``write``. ``OSError`` passes.

    ``owners`` turns the user and group of a file into those that the tar has.
    """
    with opened_directories(layers) as roots:
        _Packing(write, owners).run(roots)
    write(END_OF_ARCHIVE)


class _Shown:
    """A name in a merged directory: the layer that its file is from, or those whose directories merge."""

    __slots__ = ("is_directory", "layers", "status")

    def __init__(self, layer: int, status: os.stat_result) -> None:
        self.layers = [layer]
        self.status = status
        self.is_directory = stat.S_ISDIR(status.st_mode)


class _Packing:
    def __init__(self, write: Write, owners: Owners | None) -> None:
        self._write = write
        self._owners = owners
        self._linked: dict[tuple[int, int, int], bytes] = {}

    def run(self, roots: Sequence[int]) -> None:
        waiting = [(b"", list(range(len(roots))))] if roots else []
        while waiting:
            path, merged = waiting.pop()
            fds: dict[int, int] = {}
            try:
                for layer in merged:
                    fds[layer] = open_without_links(roots[layer], path)
                # Reversed, so that the first directory by name is the next one taken.
                waiting += reversed(self._pack_directory(path, fds))
            except FileNotFoundError:
                if not path:
                    raise
                continue  # removed since the directory above it was read
            finally:
                for fd in fds.values():
                    os.close(fd)

    def _pack_directory(self, path: bytes, fds: dict[int, int]) -> list[tuple[bytes, list[int]]]:
        """Packs a merged directory and its files; returns the directories in it, and what merges there.

        What is in a directory follows it, so that its times can be set when others come.
        """
        top_fd = next(iter(fds.values()))
        self._add(path or b".", EntryType.DIRECTORY, os.fstat(top_fd), read_xattrs(top_fd))
        directories = []
        for name, shown in sorted(_merge(fds).items()):
            inner = path + b"/" + name if path else name
            if shown.is_directory:
                directories.append((inner, shown.layers))
                continue
            try:
                self._pack(inner, fds[shown.layers[0]], name, shown.layers[0], shown.status)
            except FileNotFoundError:
                continue  # removed since the directory was read
        return directories

    def _pack(self, path: bytes, dir_fd: int, name: bytes, layer: int, status: os.stat_result) -> None:
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        key = (layer, status.st_dev, status.st_ino)
        if first := self._linked.get(key):
            self._add(path, EntryType.HARD_LINK, status, {}, target=first)
            return
        if kind is EntryType.FILE:
            self._add_file(path, dir_fd, name)
        else:
            self._add_other(path, dir_fd, name, kind, status)
        if status.st_nlink > 1:
            self._linked[key] = path

    def _add_other(
        self, path: bytes, dir_fd: int, name: bytes, kind: EntryType, status: os.stat_result
    ) -> None:
        target = os.readlink(name, dir_fd=dir_fd) if kind is EntryType.SYMLINK else b""
        self._add(path, kind, status, read_xattrs(_by_fd(dir_fd, name)), target=target)

    def _add_file(self, path: bytes, dir_fd: int, name: bytes) -> None:
        fd = os.open(name, _FILE, dir_fd=dir_fd)
        try:
            status = os.fstat(fd)
            self._add(path, EntryType.FILE, status, read_xattrs(fd))
            missing = status.st_size
            while missing and (piece := os.read(fd, min(missing, _PIECE_BYTES))):
                missing -= len(piece)
                self._write(piece)
            while missing:  # it became shorter
                zeros = bytes(min(missing, _PIECE_BYTES))
                missing -= len(zeros)
                self._write(zeros)
            self._write(padding(status.st_size))
        finally:
            os.close(fd)

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
        if self._owners is not None:
            entry.uid, entry.gid = self._owners(entry.uid, entry.gid)
        self._write(encode_header(entry))


def _merge(fds: dict[int, int]) -> dict[bytes, _Shown]:
    """What the open directories of several layers, top first, show together."""
    shown: dict[bytes, _Shown] = {}
    closed: set[bytes] = set()
    for layer, fd in fds.items():
        for text in os.listdir(fd):
            name = os.fsencode(text)
            if name in closed:
                continue
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue  # a running pod's
            if not stat.S_ISDIR(status.st_mode):
                closed.add(name)
                if name not in shown and not is_whiteout(status):
                    shown[name] = _Shown(layer, status)
                continue
            if name in shown:
                shown[name].layers.append(layer)
            else:
                shown[name] = _Shown(layer, status)
            if _is_opaque_at(fd, name):
                closed.add(name)
    return shown


def _is_opaque_at(dir_fd: int, name: bytes) -> bool:
    fd = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        return is_opaque(fd)
    finally:
        os.close(fd)


def _by_fd(dir_fd: int, name: bytes) -> bytes:
    return b"/proc/self/fd/%d/%s" % (dir_fd, name)
