"""File access below a directory that what is in it cannot lead out of.

``openat2(2)`` resolves every path: with RESOLVE_IN_ROOT a link, absolute or with ``..``, stays inside as in
a chroot; with RESOLVE_NO_SYMLINKS there are no links on the way at all.
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import ExitStack, contextmanager

from carob.errors import Unsupported
from carob.linux.syscall import SYS_OPENAT2, syscall

_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10
_ATTEMPTS = 1000

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_in_root(root_fd: int, path: bytes, flags: int = DIRECTORY) -> int:
    """Opens ``path`` as if ``root_fd`` were the root directory; links are followed inside it."""
    return _openat2(root_fd, path, flags, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)


def open_without_links(root_fd: int, path: bytes, flags: int = DIRECTORY) -> int:
    """Opens ``path`` below ``root_fd``; ELOOP where any part of it is a symbolic link."""
    return _openat2(root_fd, path, flags, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)


@contextmanager
def opened_directories(paths: Iterable[str]) -> Iterator[list[int]]:
    """Descriptors of directories, which are closed at the end of the block."""
    with ExitStack() as stack:
        fds = []
        for path in paths:
            fds.append(os.open(path, DIRECTORY))
            stack.callback(os.close, fds[-1])
        yield fds


def path_below(root_fd: int, fd: int) -> bytes:
    """The path, without links, of an open directory that is below ``root_fd``; ``b""`` is that itself."""
    root = os.readlink(b"/proc/self/fd/%d" % root_fd)
    return os.readlink(b"/proc/self/fd/%d" % fd)[len(root) :].lstrip(b"/")


def _openat2(root_fd: int, path: bytes, flags: int, resolve: int) -> int:
    if b"\0" in path:
        raise ValueError("a path with a NUL")
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)
    for _ in range(_ATTEMPTS):
        try:
            return syscall(SYS_OPENAT2, root_fd, path or b".", how, len(how), path=path)
        except BlockingIOError:
            continue  # a rename anywhere on the host made the kernel unsure of a "..": openat2(2), EAGAIN
        except OSError as error:
            if error.errno == errno.ENOSYS:
                raise Unsupported("unpacking images needs openat2", hint="Linux 5.6 or newer") from error
            raise
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)


def remove_tree(name: str | bytes, *, dir_fd: int | None = None) -> None:
    """Removes a file or a directory with all that is in it; what is not there is fine.

    It follows no link, needs three descriptors however deep the tree is, and copes with paths longer
    than PATH_MAX.
    """
    try:
        os.unlink(name, dir_fd=dir_fd)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError) as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
    fd = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
    levels = [(b"", _empty(fd))]
    try:
        while True:
            inner, waiting = levels[-1]
            if waiting:
                child = waiting.pop()
                fd = _step(fd, child)
                levels.append((child, _empty(fd)))
                continue
            levels.pop()
            if not levels:
                break
            fd = _step(fd, b"..")
            os.rmdir(inner, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=dir_fd)


def _step(fd: int, name: bytes) -> int:
    stepped = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
    os.close(fd)
    return stepped


def _empty(fd: int) -> list[bytes]:
    """Unlinks all but directories, tries to remove those, and returns the ones that are not empty."""
    directories = []
    with os.scandir(fd) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(name, dir_fd=fd)
                continue
            try:
                os.rmdir(name, dir_fd=fd)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                directories.append(name)
    return directories
