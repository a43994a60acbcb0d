"""Getting files from web servers: appc images, their signatures, keys and discovery pages.

https always; http from this machine's own loopback, if that is what was named, or where the user said so.
Whatever a server does costs bounded time and bytes: it may redirect ten times, never from https to http and
never to anything else, has a minute for its headers, and must keep up a thousand bytes a second. A proxy is
taken from the environment (``https_proxy``, ``http_proxy``, ``no_proxy``).
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from carob.errors import (
    CarobError,
    CorruptData,
    InvalidInput,
    NotFound,
    OutOfResources,
    PermissionDenied,
    Rejected,
    TimedOut,
    Unavailable,
    Unsupported,
)
from carob.image.aci.web_address import WebAddress, parse_url, redirected
from carob.image.files.durable import write_all

TIMEOUT_S = 30.0
"""The longest silence of a server."""

HEADERS_S = 60.0
"""The longest wait for its headers, however it sends them."""

SLOW_BYTES_S = 1000
"""A server that sends less in a second, over a whole minute, is given up."""

_REDIRECTS = 10
_PIECE_BYTES = 1 << 18
_REDIRECTING = frozenset((301, 302, 303, 307, 308))
_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))

Told = Callable[[int, int], object]
"""Called with how many bytes are there, and how many there will be (0: nobody knows)."""


class Web:
    """Gets files, one request at a time for each call; shared by threads freely. Opening connects to nothing.

    ``allow_http`` lets any server be asked unencrypted, ``verify_tls`` off takes any certificate, ``ca_file``
    adds certificates to the system's own. ``pace_s`` is how often a server's pace is looked at.
    """

    def __init__(
        self,
        *,
        allow_http: bool = False,
        verify_tls: bool = True,
        ca_file: str = "",
        timeout_s: float = TIMEOUT_S,
        headers_s: float = HEADERS_S,
        pace_s: float = 60.0,
    ) -> None:
        self.allow_http = allow_http
        self._timeout_s = timeout_s
        self._headers_s = headers_s
        self._pace_s = pace_s
        self._verify_tls = verify_tls
        self._ca_file = ca_file
        self._context: Any = None
        self._open: set[Any] = set()
        self._is_closed = False

    def close(self) -> None:
        """Ends what is under way, from any thread: it raises ``Unavailable``."""
        self._is_closed = True
        for connection in list(self._open):
            _shut(connection)

    def get(self, url: str, *, limit_bytes: int) -> bytes:
        """A whole file of at most ``limit_bytes``.

        ``NotFound``, ``PermissionDenied``, ``Unavailable``, ``TimedOut``, ``CorruptData`` and ``Rejected``
        name the URL, without its query.
        """
        pieces: list[bytes] = []
        self._receive(parse_url(url), pieces.append, limit_bytes, None)
        return b"".join(pieces)

    def download(self, url: str, fd: int, *, limit_bytes: int, told: Told | None = None) -> None:
        """The same into a file."""
        self._receive(parse_url(url), lambda piece: write_all(fd, piece), limit_bytes, told)

    def _receive(
        self, address: WebAddress, sink: Callable[[bytes], object], limit_bytes: int, told: Told | None
    ) -> None:
        for _ in range(_REDIRECTS + 1):
            if address.scheme == "http" and not (self.allow_http or address.is_loopback):
                raise Rejected(
                    f"{address}: not encrypted, so anybody on the way could change it",
                    hint="https://..., or say --insecure-options=http",
                )
            following = self._exchange(address, sink, limit_bytes, told)
            if following is None:
                return
            if following.is_loopback and not (address.is_loopback or self.allow_http):
                raise Rejected(f"{address}: redirected to {following}, this machine itself")
            if address.scheme == "https" and following.scheme == "http" and not self.allow_http:
                raise Rejected(f"{address}: redirected to {following}, which is not encrypted")
            address = following
        raise Unavailable(f"{address}: more than {_REDIRECTS} redirects")

    def _exchange(
        self, address: WebAddress, sink: Callable[[bytes], object], limit_bytes: int, told: Told | None
    ) -> WebAddress | None:
        """One request; where it redirects to, or ``None`` when the file is in ``sink``."""
        if self._is_closed:
            raise Unavailable(f"{address}: called off")
        connection, target, headers = self._connection(address)
        self._open.add(connection)
        response = None
        try:
            with _Deadline(connection, address, self._headers_s) as deadline:
                connection.connect()
                deadline.check()
                connection.request(
                    "GET", target, headers=headers, preload_content=False, decode_content=False
                )
                response = connection.getresponse()
            if response.status in _REDIRECTING:
                return redirected(address, response.headers.get("Location", ""))
            _check_status(address, response.status)
            self._read(address, response, sink, limit_bytes, told)
        except CarobError:
            raise  # TimedOut is an OSError as well
        except _failures() as error:
            raise self._failed(address, error) from error
        finally:
            self._open.discard(connection)
            if response is not None:
                response.close()
            connection.close()
        return None

    def _read(
        self,
        address: WebAddress,
        response: Any,
        sink: Callable[[bytes], object],
        limit_bytes: int,
        told: Told | None,
    ) -> None:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
        if total > limit_bytes:
            raise CorruptData(f"{address}: {total} bytes; at most {limit_bytes} are taken")
        done = checked = 0
        since = time.monotonic()
        while piece := response.read1(_PIECE_BYTES):
            if self._is_closed:
                raise Unavailable(f"{address}: called off")
            done += len(piece)
            if done > limit_bytes:
                raise CorruptData(f"{address}: more than {limit_bytes} bytes")
            sink(piece)
            if told is not None:
                told(done, total)
            if (now := time.monotonic()) - since > self._pace_s:
                if done - checked < SLOW_BYTES_S * (now - since):
                    raise TimedOut(f"{address}: {done - checked} bytes in {now - since:.0f} seconds")
                since, checked = now, done
        if total and done < total:
            raise Unavailable(f"{address}: {done} of {total} bytes came", hint="try again")

    def _connection(self, address: WebAddress) -> tuple[Any, str, dict[str, str]]:
        """A connection, not yet made, with the target and the headers of a request."""
        try:
            from urllib3.connection import HTTPConnection, HTTPSConnection
        except ImportError as error:
            raise Unsupported(
                "images from the web need the package 'urllib3'", hint="pip install urllib3"
            ) from error

        from carob._version import __version__

        headers = {"User-Agent": f"carob/{__version__}", "Accept-Encoding": "identity", "Accept": "*/*"}
        proxy = address.proxy()
        if address.scheme == "http":
            if proxy is None:
                return (
                    HTTPConnection(address.host, address.port, timeout=self._timeout_s),
                    address.target,
                    headers,
                )
            headers |= proxy.authorization
            return HTTPConnection(proxy.host, proxy.port, timeout=self._timeout_s), address.url, headers
        first = proxy or address
        secure = HTTPSConnection(first.host, first.port, timeout=self._timeout_s, ssl_context=self._tls())
        if proxy is not None:
            secure.set_tunnel(address.host, address.port, headers=proxy.authorization)
        return secure, address.target, headers

    def _tls(self) -> Any:
        import ssl

        if self._context is None:
            context = ssl.create_default_context()
            try:
                if self._ca_file:
                    context.load_verify_locations(self._ca_file)
            except OSError as error:
                raise InvalidInput(f"{self._ca_file}: no certificates: {error}") from error
            if not self._verify_tls:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._context = context
        return self._context

    def _failed(self, address: WebAddress, error: Exception) -> Exception:
        from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError

        is_late = isinstance(error, TimeoutError | ConnectTimeoutError | ReadTimeoutError)
        if is_late and not isinstance(
            error, NewConnectionError
        ):  # a kind of the second, for historical reasons
            return TimedOut(f"{address}: no answer within {self._timeout_s:g} seconds")
        if isinstance(error, OSError) and error.errno in _DISK:
            return OutOfResources(f"{address}: {error.strerror}", hint="make room")
        return Unavailable(f"{address}: {'called off' if self._is_closed else _said(error)}")


class _Deadline:
    """Cuts the connection when the time is up: a server may not dole out its headers byte by byte."""

    def __init__(self, connection: Any, address: WebAddress, seconds: float) -> None:
        self._connection = connection
        self._address = address
        self._seconds = seconds
        self._is_late = False
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def _cut(self) -> None:
        self._is_late = True
        _shut(self._connection)

    def check(self) -> None:
        """Raises ``TimedOut`` where the time is up: a connection that was not made yet could not be cut."""
        if self._is_late:
            raise TimedOut(f"{self._address}: no answer within {self._seconds:.0f} seconds")

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self.check()


def _shut(connection: Any) -> None:
    sock = getattr(connection, "sock", None)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _check_status(address: WebAddress, status: int) -> None:
    if status == 200:
        return
    message = f"{address}: the server answers {status}"
    if status in (401, 403, 407):
        raise PermissionDenied(message)
    if 400 <= status < 500 and status not in (408, 425, 429):
        raise NotFound(message)
    raise Unavailable(message, hint="try again later")


def _failures() -> tuple[type[Exception], ...]:
    from http.client import HTTPException

    from urllib3.exceptions import HTTPError

    return OSError, HTTPException, HTTPError


def _said(error: Exception) -> str:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    text = str(error).rpartition(": ")[2] or type(error).__name__
    return text[:200]
