"""Copying a merged tree, for where overlay mounts are not to be had."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Sequence

from carob.errors import InvalidInput
from carob.image.failures import translate
from carob.image.files.metadata import copy_metadata, copy_named_metadata
from carob.image.files.overlay import is_opaque, is_whiteout
from carob.image.files.rooted import DIRECTORY, open_without_links, opened_directories

_FICLONE = 0x40049409
_COPY_BYTES = 1 << 30


def copy_tree(layers: Sequence[str], target: str) -> None:
    """Copies what overlayfs would show of ``layers`` (top first) into ``target``."""
    try:
        os.makedirs(target, 0o755, exist_ok=True)
        if os.listdir(target):
            raise InvalidInput(f"{target} is not empty", hint="give a directory that is empty or not there")
        _Copy(layers, target).run()
    except OSError as error:
        raise translate(error, f"copying an image to {target}") from error


class _Copy:
    """One copy: directories are merged top first, so that each file is copied once and none removed."""

    def __init__(self, layers: Sequence[str], target: str) -> None:
        self._layers = layers
        self._target = target
        self._linked: dict[tuple[int, int, int], bytes] = {}  # layer, device, inode: first copy
        self._finished: list[tuple[int, bytes]] = []

    def run(self) -> None:
        with opened_directories([*self._layers, self._target]) as (*roots, target_fd):
            waiting: list[tuple[bytes, list[int]]] = [(b"", list(range(len(roots))))]
            while waiting:
                path, merged = waiting.pop()
                waiting += self._copy_directory(roots, merged, path, target_fd)
            # Times change while files are made, so directories come last, the innermost first.
            for layer, path in reversed(self._finished):
                self._finish_directory(roots[layer], path, target_fd)

    def _copy_directory(
        self, roots: Sequence[int], merged: Sequence[int], path: bytes, target_root: int
    ) -> list[tuple[bytes, list[int]]]:
        """Copies the files of one merged directory; returns the directories in it and what merges there."""
        directories: dict[bytes, list[int]] = {}
        closed: set[bytes] = set()
        target_fd = open_without_links(target_root, path)
        try:
            for layer in merged:
                source_fd = open_without_links(roots[layer], path)
                try:
                    self._copy_one_layer(layer, source_fd, target_fd, path, directories, closed)
                finally:
                    os.close(source_fd)
        finally:
            os.close(target_fd)
        if merged:
            self._finished.append((merged[0], path))
        return [(_join(path, name), found) for name, found in directories.items()]

    def _copy_one_layer(
        self,
        layer: int,
        source_fd: int,
        target_fd: int,
        path: bytes,
        directories: dict[bytes, list[int]],
        closed: set[bytes],
    ) -> None:
        for text in sorted(os.listdir(source_fd)):
            name = os.fsencode(text)
            if name in closed:
                continue
            status = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                if name not in directories:
                    os.mkdir(name, 0o700, dir_fd=target_fd)
                directories.setdefault(name, []).append(layer)
                if _is_opaque_at(source_fd, name):
                    closed.add(name)
                continue
            closed.add(name)
            if name not in directories and not is_whiteout(status):
                self._copy_file(layer, source_fd, target_fd, name, _join(path, name), status)

    def _copy_file(
        self, layer: int, source_fd: int, target_fd: int, name: bytes, path: bytes, status: os.stat_result
    ) -> None:
        key = (layer, status.st_dev, status.st_ino)
        if status.st_nlink > 1:
            first = self._linked.setdefault(key, path)
            if first != path:
                os.link(
                    os.fsencode(self._target) + b"/" + first,
                    name,
                    dst_dir_fd=target_fd,
                    follow_symlinks=False,
                )
                return
        if stat.S_ISREG(status.st_mode):
            _copy_regular(source_fd, target_fd, name)
            return
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source_fd), name, dir_fd=target_fd)
        else:
            os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target_fd)
        copy_named_metadata(_by_fd(source_fd, name), _by_fd(target_fd, name), status)

    @staticmethod
    def _finish_directory(source_root: int, path: bytes, target_root: int) -> None:
        source_fd = open_without_links(source_root, path)
        try:
            target_fd = open_without_links(target_root, path)
            try:
                copy_metadata(source_fd, target_fd)
            finally:
                os.close(target_fd)
        finally:
            os.close(source_fd)


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name


def _by_fd(dir_fd: int, name: bytes) -> bytes:
    return b"/proc/self/fd/%d/%s" % (dir_fd, name)


def _is_opaque_at(dir_fd: int, name: bytes) -> bool:
    fd = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        return is_opaque(fd)
    finally:
        os.close(fd)


def _copy_regular(source_fd: int, target_fd: int, name: bytes) -> None:
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source_fd)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        target = os.open(name, flags, 0o600, dir_fd=target_fd)
        try:
            copy_data(source, target)
            copy_metadata(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def copy_data(source: int, target: int) -> None:
    """Copies a regular file's data into an empty one: by reference where the file system can, else extent
    by extent, so that holes stay holes.
    """
    size = os.fstat(source).st_size
    if size == 0:
        return
    try:
        fcntl.ioctl(target, _FICLONE, source)
        return
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM):
            raise
    position = 0
    while position < size:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break  # nothing but a hole up to the end
        end = os.lseek(source, position, os.SEEK_HOLE)
        position = _copy_extent(source, target, position, end)
    os.ftruncate(target, size)


def _copy_extent(source: int, target: int, position: int, end: int) -> int:
    while position < end:
        length = min(end - position, _COPY_BYTES)
        try:
            copied = os.copy_file_range(source, target, length, position, position)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            copied = os.pwrite(target, os.pread(source, min(length, 1 << 20), position), position)
        if copied == 0:
            return end
        position += copied
    return position
