"""A connection for one try of a probe: begun, talked over and given up without ever waiting.

Init's loop and that of its helper both serve it: what they have in common is ``Loop``. Whoever tries sets the
time; here only the bytes are bounded.
"""

from __future__ import annotations

import os
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    SO_ERROR,
    SO_LINGER,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    socket,
)
from select import POLLIN, POLLOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable
    from typing import Protocol

    class Loop(Protocol):
        """One poll and its handlers."""

        poll: select.poll

        def watch(self, descriptor: int, handler: Callable[[], None]) -> None:
            """Calls the handler when there is something to read."""

        def forget(self, descriptor: int) -> None:
            """Does not any more."""

    class Talk(Protocol):
        """One side of a conversation: bytes in, bytes out."""

        def begin(self) -> bytes:
            """What to say first."""

        def hear(self, data: bytes) -> tuple[bytes, str | None]:
            """What to say to that, and the verdict once there is one: ``""`` is well, else what is wrong."""

        def over(self) -> str:
            """The verdict where the other side has closed."""


MOST_BYTES = 1 << 16
_READ_BYTES = 1 << 14
_AT_ONCE = (1).to_bytes(4, "little") + bytes(4)  # struct linger: closed by a reset, no TIME_WAIT is left


class Dial:
    """One connection. ``told`` is called once with the verdict, unless it is closed before."""

    __slots__ = ("_connecting", "_heard", "_loop", "_outgoing", "_socket", "_talk", "_told")

    def __init__(
        self, loop: Loop, address: str, port: int, talk: Talk | None, told: Callable[[str], None]
    ) -> None:
        """Begins it; without a ``talk`` to be connected is all. Raises ``OSError`` where it fails at once."""
        self._loop = loop
        self._talk = talk
        self._told = told
        self._outgoing = b""
        self._heard = 0
        family = AF_INET6 if ":" in address else AF_INET
        self._socket = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(SOL_SOCKET, SO_LINGER, _AT_ONCE)
            self._socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            self._connecting = True
            error = self._socket.connect_ex((address, port))
            if error not in (0, 115):  # EINPROGRESS
                raise OSError(error, os.strerror(error))
        except BaseException:
            self._socket.close()
            raise
        loop.watch(self._socket.fileno(), self._step)
        loop.poll.modify(self._socket.fileno(), POLLOUT)

    def close(self) -> None:
        """Gives it up, or lets go of what is over."""
        descriptor = self._socket.fileno()
        if descriptor >= 0:
            self._loop.forget(descriptor)
            self._socket.close()

    def _step(self) -> None:
        try:
            verdict = self._connected() if self._connecting else self._go_on()
        except BlockingIOError:
            return
        except OSError as error:
            verdict = trouble(error)
        if verdict is not None:
            self.close()
            self._told(verdict)

    def _connected(self) -> str | None:
        error = self._socket.getsockopt(SOL_SOCKET, SO_ERROR)
        if error:
            return trouble(OSError(error, os.strerror(error)))
        self._connecting = False
        if self._talk is None:
            return ""
        self._outgoing = self._talk.begin()
        self._say()
        return None

    def _go_on(self) -> str | None:
        assert self._talk is not None
        if self._outgoing:
            self._say()
            return None
        data = self._socket.recv(_READ_BYTES)
        if not data:
            return self._talk.over()
        self._heard += len(data)
        answer, verdict = self._talk.hear(data)
        if verdict is None and self._heard >= MOST_BYTES:
            return "it says too much"
        self._outgoing = answer
        if verdict is None:  # what is said after that would never be heard
            self._say()
        return verdict

    def _say(self) -> None:
        if self._outgoing:
            self._outgoing = self._outgoing[self._socket.send(self._outgoing) :]
        wanted = POLLOUT if self._outgoing else POLLIN
        self._loop.poll.modify(self._socket.fileno(), wanted)


def trouble(error: OSError) -> str:
    """An error of the kernel's, as part of a sentence."""
    text = error.strerror or "failed"
    return text[:1].lower() + text[1:]
