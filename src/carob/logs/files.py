"""The files that one log is made of, opened one after the other while init rotates them."""

from __future__ import annotations

import os

from carob.errors import NotFound, PermissionDenied, Unavailable
from carob.logs.names import rotated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

_TRIES = 100

Identity = tuple[int, int]
"""Device and inode: what tells a file from all others while it is open."""


def open_log(dir_fd: int, name: str) -> int:
    """Opens a log file for reading, never through a link.

    Raises ``NotFound``, ``PermissionDenied``, ``Unavailable``.
    """
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=dir_fd)
    except FileNotFoundError as error:
        raise NotFound(f"there is no log {name}", hint="An app has one once it was started.") from error
    except PermissionError as error:
        raise PermissionDenied(f"this user may not read the log {name}") from error
    except OSError as error:
        raise Unavailable(f"cannot open the log {name}: {error.strerror}") from error


def identity_of(fd: int) -> Identity:
    """What tells the open file from others."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def open_first(dir_fd: int, log: str) -> int:
    """Opens the oldest file of the log. Raises as ``open_log`` does."""
    return _open_after(dir_fd, log, None)


def open_last(dir_fd: int, log: str) -> int:
    """Opens the file that is written to or, in the moment of a rotation, the one before. Raises so too."""
    try:
        return open_log(dir_fd, log)
    except NotFound:
        names = rotated(dir_fd, log)
        if not names:
            raise
        return open_log(dir_fd, names[-1])


def open_next(dir_fd: int, log: str, identity: Identity) -> int | None:
    """Opens the file that came after this one; ``None`` where it is the one that is written to.

    Of one that is gone all that are left came later, as the oldest go first. Raises as ``open_log`` does.
    """
    if _identity(dir_fd, log) == identity:
        return None
    return _open_after(dir_fd, log, identity)


def _open_after(dir_fd: int, log: str, identity: Identity | None) -> int:
    """Opens a file, and looks whether it still is the next one then: files get other names meanwhile."""
    for _ in range(_TRIES):
        wanted = _after(dir_fd, log, identity)
        try:
            fd = open_log(dir_fd, wanted)
        except NotFound:
            if wanted == log:
                raise
            continue
        try:
            if wanted != log or _identity(dir_fd, _after(dir_fd, log, identity)) == identity_of(fd):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise Unavailable(f"the log {log} is rotated faster than it is read")


def _after(dir_fd: int, log: str, identity: Identity | None) -> str:
    names = [*rotated(dir_fd, log), log]
    if identity is not None:
        for at, name in enumerate(names[:-1]):
            if _identity(dir_fd, name) == identity:
                return names[at + 1]
    return names[0]


def _identity(dir_fd: int, name: str) -> Identity | None:
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def older(dir_fd: int, log: str, identity: Identity) -> Generator[int, None, None]:
    """Opens the files before this one, the youngest first; each is closed when the next is asked for."""
    names = rotated(dir_fd, log)
    for at, name in enumerate(names):
        if _identity(dir_fd, name) == identity:
            del names[at:]
            break
    for name in reversed(names):
        try:
            fd = open_log(dir_fd, name)
        except NotFound:
            return  # those before it are gone as well
        try:
            yield fd
        finally:
            os.close(fd)
