"""Whether the other end of a socket has hung up, for who does not read from it at the moment."""

from __future__ import annotations

import asyncio
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Hangup:
    """Calls back, once, when the other end has closed its side (EPOLLRDHUP, epoll_ctl(2)).

    A transport that is paused is not watched by its loop at all; this watches it by an epoll of its own. Over
    TCP the end comes after what was sent before it: where that fills all buffers, because nobody reads it, it
    is some minutes until the kernel of who has gone gives up.
    """

    def __init__(self, descriptor: int, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._epoll.register(descriptor, select.EPOLLRDHUP)
        self._loop.add_reader(self._epoll.fileno(), self._fire)

    def _fire(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._tell()

    def close(self) -> None:
        """Watches no more; before the descriptor is closed."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
