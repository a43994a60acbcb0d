"""Waking whoever follows logs: inotify(7) on the directory of the log files.

An instance of its own and not the one that waits share (``carob.linux.inotify``): growing files give an
event with nearly every write, which nobody who waits for a pod's state should be woken by.
"""

from __future__ import annotations

import os

from carob.linux.syscall import SYS_INOTIFY_ADD_WATCH, SYS_INOTIFY_INIT1, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# inotify(7): files that grow, appear or take another's name.
_IN_MODIFY = 0x002
_IN_MOVED_TO = 0x080
_IN_CREATE = 0x100
_IN_ONLYDIR = 0x1000000
_EVENTS_BYTES = 1 << 16

UNWATCHED_LOOK_S = 0.1
"""How often files are looked at where inotify is not to be had."""


class LogWatch:
    """Gives ``follow`` its ``wait``. Made before ``follow`` begins, closed after it; a context manager.

    ``dir_fd`` is the directory of the log files, of which this keeps nothing. ``wake_fds`` are descriptors
    of the caller's, such as the pidfd of the pod's init, each of which ends one wait when it becomes
    readable and is then left alone. Where the user has no inotify instance or watch left, the waits are
    short instead.
    """

    __slots__ = ("_fd", "_wake_fds")

    def __init__(self, dir_fd: int, wake_fds: Iterable[int] = ()) -> None:
        self._wake_fds = set(wake_fds)
        self._fd = _watch(dir_fd)

    @property
    def watching(self) -> bool:
        """Whether the kernel tells of changes; else the waits are short."""
        return self._fd >= 0

    def wait(self, timeout_s: float) -> None:
        """Returns when a file of the directory has changed since the last wait, or after the time."""
        from select import POLLIN, poll

        waiting = poll()
        for fd in self._wake_fds:
            waiting.register(fd, POLLIN)
        if self.watching:
            waiting.register(self._fd, POLLIN)
        else:
            timeout_s = min(timeout_s, UNWATCHED_LOOK_S)
        for fd, _ in waiting.poll(timeout_s * 1000):
            self._wake_fds.discard(fd)
        self.drain()

    def descriptors(self) -> list[int]:
        """For callers that wait in a way of their own: what becomes readable when a wait would end.

        They call ``drain`` before they look again, and look every ``UNWATCHED_LOOK_S`` where not
        ``watching``.
        """
        return [*self._wake_fds, *([self._fd] if self.watching else [])]

    def close(self) -> None:
        """Ends the watch."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> LogWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def drain(self) -> None:
        """Forgets the changes told so far."""
        if not self.watching:
            return
        try:
            os.read(self._fd, _EVENTS_BYTES)  # what does not fit ends the next wait
        except BlockingIOError:
            return


def _watch(dir_fd: int) -> int:
    """A descriptor of a new inotify instance that watches the directory, or -1."""
    fd = -1
    try:
        fd = syscall(SYS_INOTIFY_INIT1, os.O_CLOEXEC | os.O_NONBLOCK)
        mask = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_ONLYDIR
        syscall(SYS_INOTIFY_ADD_WATCH, fd, f"/proc/self/fd/{dir_fd}", mask)
    except OSError:
        if fd >= 0:
            os.close(fd)
        return -1
    return fd
