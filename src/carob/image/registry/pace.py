"""Time limits where bytes come off the socket, so that no server can hold a reader by sending now and then.

A time-out of a socket starts anew with every byte; urllib3 and http.client know no other. So the file that
http.client reads answers from is one of ours: it counts. This module is loaded with urllib3.
"""

from __future__ import annotations

import errno
import http.client
import io
import socket
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import urllib3
import urllib3.connection

if TYPE_CHECKING:
    from carob.image.registry.limits import Limits

_BUFFER_BYTES = 1 << 16


class Pace:
    """The time limits of one answer, and the way to end it from another thread.

    ``headers_s`` counts from the end of the request, ``total_s`` from now; 0 is no limit.
    """

    __slots__ = (
        "_arrived_bytes",
        "_deadline",
        "_headers_by",
        "_headers_s",
        "_least_bytes_s",
        "_sock",
        "_stall_s",
        "_waited_s",
        "is_cut",
    )

    def __init__(self, limits: Limits, *, headers_s: float = 0.0, total_s: float = 0.0) -> None:
        self._deadline = time.monotonic() + total_s if total_s else float("inf")
        self._headers_s = headers_s or limits.headers_s
        self._headers_by = float("inf")
        self._stall_s = limits.stall_s
        self._least_bytes_s = limits.least_bytes_s
        self._waited_s = 0.0
        self._arrived_bytes = 0
        self._sock: Any = None
        self.is_cut = False

    def begin_headers(self, sock: Any) -> None:
        """The request is sent, and the answer is awaited from ``sock``."""
        self._sock = sock
        self._headers_by = time.monotonic() + self._headers_s

    def end_headers(self) -> None:
        """The headers are there."""
        self._headers_by = float("inf")

    def patience_s(self) -> float:
        """How long the next bytes may take; raises ``TimeoutError`` where no time is left."""
        if self.is_cut:
            raise ConnectionAbortedError(errno.ECONNABORTED, "given up")
        in_headers = self._headers_by != float("inf")
        left_s = min(self._deadline, self._headers_by) - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the time for the answer is over")
        return left_s if in_headers else min(left_s, self._stall_s)

    def arrived(self, size: int, waited_s: float) -> None:
        """Bytes came. Only time spent waiting for them counts: a slow reader is not the server's fault."""
        self._waited_s += waited_s
        self._arrived_bytes += size
        if self._waited_s >= self._stall_s:
            if self._arrived_bytes < self._least_bytes_s * self._waited_s:
                raise TimeoutError("the answer comes too slowly")
            self._waited_s = 0.0
            self._arrived_bytes = 0

    def hurry(self, seconds: float) -> None:
        """From now on there is only so much time left, or less."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def cut(self) -> None:
        """Ends the answer: whoever waits for bytes of it fails at once. For any thread, any time."""
        self.is_cut = True
        sock = self._sock
        try:
            if isinstance(sock, socket.socket):
                # Not the TLS socket's own method, which takes its state from under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            elif sock is not None:
                sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # closed already

    def release(self) -> None:
        """The connection is somebody else's from now on."""
        self._sock = None


_pace: ContextVar[Pace | None] = ContextVar("carob_registry_pace", default=None)


class paced:
    """Within it, answers to this thread's requests keep to ``pace``."""

    __slots__ = ("_pace", "_token")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def __enter__(self) -> None:
        self._token = _pace.set(self._pace)

    def __exit__(self, *_: object) -> None:
        _pace.reset(self._token)


class _PacedFile(io.RawIOBase):
    """What a socket's answer is read from."""

    def __init__(self, file: io.RawIOBase, sock: socket.socket, pace: Pace) -> None:
        self._file = file
        self._sock = sock
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._pace.patience_s())
        begun = time.monotonic()
        size = self._file.readinto(buffer)
        self._pace.arrived(size or 0, time.monotonic() - begun)
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


class _PacedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self._pace = _pace.get()
        if self._pace is not None:
            self._pace.begin_headers(sock)
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_PacedFile(raw, sock, self._pace), _BUFFER_BYTES)

    def begin(self) -> None:
        super().begin()
        if self._pace is not None:
            self._pace.end_headers()


class _PacedConnection(urllib3.connection.HTTPConnection):
    response_class = _PacedResponse


class _PacedTLSConnection(urllib3.connection.HTTPSConnection):
    response_class = _PacedResponse

    def connect(self) -> None:
        super().connect()
        # Only a warning hangs on this, at each request to a host that the user has called insecure.
        self.is_verified = True


class PlainPool(urllib3.HTTPConnectionPool):
    """Connections to one host, in the clear."""

    ConnectionCls = _PacedConnection


class TLSPool(urllib3.HTTPSConnectionPool):
    """Connections to one host, under TLS."""

    ConnectionCls = _PacedTLSConnection
