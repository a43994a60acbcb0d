"""Calling off what is under way, from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from carob.errors import Cancelled


class Cancellation:
    """Calls off one or several calls that were given it, once and for all. Shared by threads freely.

    What waits in such a call registers a function that wakes it (``calls``): nothing has to look again and
    again.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may call off in the middle of any line
        self._wakers: dict[int, Callable[[], object]] = {}
        self._next = 0
        self.is_cancelled = False

    def cancel(self) -> None:
        """Calls off; a second call does nothing."""
        with self._lock:
            if self.is_cancelled:
                return
            self.is_cancelled = True
            # With the lock held: who has left ``calls`` is not woken any more.
            for wake in list(self._wakers.values()):
                wake()
            self._wakers.clear()

    def check(self) -> None:
        """Raises ``Cancelled`` where it was called off."""
        if self.is_cancelled:
            raise Cancelled("called off")

    @contextmanager
    def calls(self, wake: Callable[[], object]) -> Iterator[None]:
        """Within the block, ``cancel`` calls ``wake``: at once where it was called already."""
        with self._lock:
            key = self._next
            self._next += 1
            self._wakers[key] = wake
            # First that, then this: a signal handler of this very thread may call off in between.
            is_late = self.is_cancelled and self._wakers.pop(key, None) is not None
        if is_late:
            wake()
        try:
            yield
        finally:
            with self._lock:
                self._wakers.pop(key, None)
