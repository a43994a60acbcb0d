"""An HTTP proxy as HTTP_PROXY and HTTPS_PROXY name one: CONNECT for TLS, whole URLs for plain HTTP."""

from __future__ import annotations

import base64
import http.client
import select
import socket
from email.message import Message
from urllib.parse import urlsplit

from tests.parts.faulty_proxy import Seen
from tests.parts.loopback import Handler, LoopbackServer

_CHUNK = 1 << 16
_HERE = ("127.0.0.1", "localhost", "[::1]")


class ForwardProxy(LoopbackServer):
    """``seen`` are the requests that came; of one by CONNECT the target is ``host:port``.

    It leads to the loopback interface only. ``routes`` maps other names to places there, so that
    a registry can have a name without any name service: ``{"registry.example:443": registry.host}``.
    """

    def __init__(
        self, *, credentials: tuple[str, str] | None = None, routes: dict[str, str] | None = None
    ) -> None:
        self.seen: list[Seen] = []
        self.routes = routes or {}
        self.wanted = None
        if credentials is not None:
            self.wanted = "Basic " + base64.b64encode(":".join(credentials).encode()).decode()
        self.handler = _ForwardHandler
        super().__init__()

    def place(self, host: str) -> tuple[str, int] | None:
        """Where ``host:port`` is; None where it may not be gone to."""
        name, _, port = self.routes.get(host, host).rpartition(":")
        return (name.strip("[]"), int(port)) if name in _HERE and port.isdigit() else None


class _ForwardHandler(Handler):
    @property
    def _owner(self) -> ForwardProxy:
        owner = self.server.owner  # type: ignore[attr-defined]
        assert isinstance(owner, ForwardProxy)
        return owner

    def _allowed(self) -> Seen | None:
        seen = Seen(self.command, self.path, self.headers)
        self._owner.seen.append(seen)
        if self._owner.wanted in (None, self.headers.get("Proxy-Authorization")):
            return seen
        self._say(seen, 407, {"Proxy-Authenticate": 'Basic realm="loopback"'}, b"")
        return None

    def do_CONNECT(self) -> None:
        seen = self._allowed()
        if seen is None:
            return
        place = self._owner.place(self.path)
        if place is None:
            self._say(seen, 502, {}, b"no way to there\n")
            return
        with socket.create_connection(place) as other:
            seen.status = 200
            self.send_response_only(200)
            self.end_headers()
            self.wfile.flush()
            self.close_connection = True
            seen.body_sent = _tunnel(self.connection, other)

    def _forward(self) -> None:
        body = self.body()
        seen = self._allowed()
        if seen is None:
            return
        url = urlsplit(self.path)
        place = self._owner.place(url.netloc if url.port else f"{url.netloc}:80")
        if url.scheme != "http" or place is None:
            self._say(seen, 502, {}, b"no way to there\n")
            return
        upstream = http.client.HTTPConnection(*place)
        try:
            headers = _without_hops(self.headers)
            upstream.request(self.command, url._replace(scheme="", netloc="").geturl(), body or None, headers)
            answer = upstream.getresponse()
            kept = dict(answer.getheaders())
            kept.pop("Content-Length", None)
            self._say(seen, answer.status, kept, answer.read())
        finally:
            upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

    def _say(self, seen: Seen, status: int, headers: dict[str, str], body: bytes) -> None:
        seen.status, seen.body_sent = status, len(body)
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _without_hops(headers: Message) -> dict[str, str]:
    hops = ("proxy-", "connection", "keep-alive", "transfer-encoding", "te", "content-length")
    return {name: value for name, value in headers.items() if not name.lower().startswith(hops)}


def _tunnel(one: socket.socket, other: socket.socket) -> int:
    """Carries bytes both ways until either end closes; how many went towards ``one``."""
    towards_one = 0
    while True:
        readable, _, _ = select.select([one, other], [], [])
        for source, target in ((one, other), (other, one)):
            if source not in readable:
                continue
            data = source.recv(_CHUNK)
            if not data:
                return towards_one
            target.sendall(data)
            towards_one += len(data) if target is one else 0
