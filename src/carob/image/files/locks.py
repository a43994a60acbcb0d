"""Advisory locks (flock(2)) that the image store's writers and its garbage collection meet at.

A lock belongs to the open file description, so a child that the caller forks meanwhile would keep it
after us. Every lock taken here is therefore closed in such children, and is dropped by name, not only by
closing, when it is let go.
"""

from __future__ import annotations

import fcntl
import os
from _thread import RLock

from carob.errors import PermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Held while a descriptor exists that the fork hook does not know yet, and by the hook while forking.
_fork_guard = RLock()
_held: set[int] = set()


def _close_in_child() -> None:
    for fd in _held:
        try:
            os.close(fd)
        except OSError:
            pass
    _held.clear()
    _fork_guard.release()


os.register_at_fork(
    before=_fork_guard.acquire, after_in_parent=_fork_guard.release, after_in_child=_close_in_child
)


class Lock:
    """A held lock; ``close`` lets it go. ``fd`` is the locked file or directory."""

    __slots__ = ("_owner", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._owner = os.getpid()
        _held.add(fd)

    def close(self) -> None:
        """Lets the lock go and closes its descriptor; a second call does nothing."""
        with _fork_guard:
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

    def is_at(self, path: str) -> bool:
        """Whether ``path`` is still this file."""
        ours = os.fstat(self.fd)
        try:
            there = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def open_for_lock(path: str, flags: int, mode: int = 0o600) -> Lock:
    """Opens a file whose lock is about to be taken; no link is followed, no child inherits it."""
    with _fork_guard:
        return Lock(os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode))


def lock(
    path: str, *, exclusive: bool, wait: bool = True, open_directory: Callable[[str], int] | None = None
) -> Lock | None:
    """Locks the file or directory that is at ``path``; ``open_directory`` opens it in our place.

    Returns ``None`` where ``wait`` is false and another holds it. ``FileNotFoundError`` where there is
    nothing at ``path``; what was renamed away while we waited does not count as being there.
    ``PermissionDenied`` where it cannot be opened.
    """

    def open_it() -> Lock:
        if open_directory is None:
            return open_for_lock(path, os.O_RDONLY)
        fd = open_directory(path)
        with _fork_guard:
            return Lock(fd)

    return _lock(path, open_it, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, wait)


def lock_for_writing(path: str) -> Lock:
    """A shared lock on the file at ``path``, open for reading and writing. ``FileNotFoundError`` as above."""
    held = _lock(path, lambda: open_for_lock(path, os.O_RDWR), fcntl.LOCK_SH, True)
    assert held is not None
    return held


def _lock(path: str, open_it: Callable[[], Lock], operation: int, wait: bool) -> Lock | None:
    if not wait:
        operation |= fcntl.LOCK_NB
    while True:
        try:
            held = open_it()
        except PermissionError as error:
            raise PermissionDenied(f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(held.fd, operation)
            if held.is_at(path):
                return held
        except BlockingIOError:
            held.close()
            return None
        except BaseException:
            held.close()
            raise
        held.close()


def create_shared(path: str) -> Lock | None:
    """Makes the file ``path``, which must not be there, with a shared lock on it, open for reading and
    writing.

    ``None`` where a garbage collection took the file for left behind before it was locked: try again.
    """
    held = open_for_lock(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        fcntl.flock(held.fd, fcntl.LOCK_SH)
        if held.is_at(path):
            return held
    except BaseException:
        held.close()
        raise
    held.close()
    return None
