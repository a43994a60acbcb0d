"""Advisory locks (flock(2)) that the image store's writers and its garbage collection meet at.

A lock belongs to the open file description, so a child that the caller forks meanwhile would keep it
after us. Every lock taken here is therefore closed in such children, and is dropped by name, not only by
closing, when it is let go.
"""

from __future__ import annotations

import fcntl
import os

from carob.errors import PermissionDenied

_held: set[int] = set()


def _close_in_child() -> None:
    for fd in _held:
        try:
            os.close(fd)
        except OSError:
            pass
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


class Lock:
    """A held lock; ``close`` lets it go. ``fd`` is the locked file or directory."""

    __slots__ = ("_owner", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._owner = os.getpid()
        _held.add(fd)

    def close(self) -> None:
        """Lets the lock go and closes its descriptor; a second call does nothing."""
        fd, self.fd = self.fd, -1
        if fd < 0 or self._owner != os.getpid():
            return  # in a forked child it is closed already, and the number may be another file's
        _held.discard(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            os.close(fd)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lock(path: str, *, exclusive: bool, wait: bool = True) -> Lock | None:
    """Locks the file or directory that is at ``path``.

    Returns ``None`` where ``wait`` is false and another holds it. ``FileNotFoundError`` where there is
    nothing at ``path``; what was renamed away while we waited does not count as being there.
    """
    operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    if not wait:
        operation |= fcntl.LOCK_NB
    while True:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise PermissionDenied(f"cannot open {path}: {error.strerror}") from error
        held = Lock(fd)
        try:
            fcntl.flock(fd, operation)
            if _is_at(fd, path):
                return held
        except BlockingIOError:
            held.close()
            return None
        except BaseException:
            held.close()
            raise
        held.close()


def create_shared(path: str) -> Lock | None:
    """Makes the file ``path``, which must not be there, with a shared lock on it, open for writing.

    ``None`` where a garbage collection took the file for left behind before it was locked: try again.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    held = Lock(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        if _is_at(fd, path):
            return held
    except BaseException:
        held.close()
        raise
    held.close()
    return None


def _is_at(fd: int, path: str) -> bool:
    ours = os.fstat(fd)
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
