"""A front before a registry, or before nothing, that misbehaves as it is told, and notes what it was asked.

Clients are pointed at it by its ``host``; what no rule catches is passed on with the client's Host header, so
that a registry's ``Location`` leads back here.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from email.message import Message

from tests.parts.certificates import Certificate
from tests.parts.exchange import Exchange, Fault, Hangup, Reply
from tests.parts.loopback import Handler, LoopbackServer
from tests.parts.registry import Registry

_CHUNK = 1 << 16
_BETWEEN_TWO = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade"})
_BODILESS = (204, 304)
_UPSTREAM_S = 60.0


class Seen:
    """A request that came. ``headers`` are as the client sent them.

    ``status`` is 0 where nothing was answered, ``body_sent`` what went out of the answer's body so far.
    """

    def __init__(self, method: str, target: str, headers: Message) -> None:
        self.method, self.target, self.headers = method, target, headers
        self.status = 0
        self.body_sent = 0

    def __repr__(self) -> str:
        part = self.headers.get("Range", "")
        return f"<{self.method} {self.target} {part} -> {self.status}, {self.body_sent} bytes>"


class Rule:
    """Where a fault is committed. ``used`` counts how often it was."""

    def __init__(self, fault: Fault, target: str, method: str | None, times: int | None) -> None:
        self.fault, self.target, self.method, self.times = fault, re.compile(target), method, times
        self.used = 0

    def matches(self, seen: Seen) -> bool:
        """Say whether this request is one for it."""
        return (
            (self.times is None or self.used < self.times)
            and self.method in (None, seen.method)
            and self.target.search(seen.target) is not None
        )


class FaultyProxy(LoopbackServer):
    """``seen`` are the requests that came, in order; ``host`` is where it listens.

    With a certificate it speaks TLS itself, whatever ``upstream`` speaks. Without upstream what no rule
    catches is answered 404.
    """

    def __init__(
        self,
        upstream: Registry | None = None,
        *,
        certificate: Certificate | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.seen: list[Seen] = []
        self.upstream = upstream
        self._rules: list[Rule] = []
        self._guard = threading.Lock()
        self.handler = _FrontHandler
        super().__init__(certificate=certificate, address=address)

    def add(
        self, fault: Fault, *, target: str = "", method: str | None = None, times: int | None = 1
    ) -> Rule:
        """Commit a fault at the next ``times`` requests, or with None at all, that ``target`` is found in.

        ``target`` is a regular expression, searched in path and query. Of several rules the first one not yet
        spent counts.
        """
        rule = Rule(fault, target, method, times)
        with self._guard:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget the rules and what was seen."""
        with self._guard:
            self._rules.clear()
            self.seen.clear()

    def take(self, seen: Seen) -> Fault:
        """Note a request and say what to do with it."""
        with self._guard:
            self.seen.append(seen)
            for rule in self._rules:
                if rule.matches(seen):
                    rule.used += 1
                    return rule.fault
        return Fault()

    def connect_upstream(self) -> http.client.HTTPConnection:
        """A connection to the registry behind."""
        assert self.upstream is not None
        if self.upstream.ca_file is None:
            return http.client.HTTPConnection("127.0.0.1", self.upstream.port, timeout=_UPSTREAM_S)
        context = ssl.create_default_context(cafile=self.upstream.ca_file)
        return http.client.HTTPSConnection(
            "127.0.0.1", self.upstream.port, timeout=_UPSTREAM_S, context=context
        )


class _FrontHandler(Handler):
    def _serve(self) -> None:
        owner = self.server.owner  # type: ignore[attr-defined]
        assert isinstance(owner, FaultyProxy)
        body = self.body()
        seen = Seen(self.command, self.path, self.headers)
        passed_on = Message()
        for name, value in self.headers.items():
            passed_on[name] = value
        exchange = Exchange(self.command, self.path, passed_on, owner.base_url, owner.closing)
        fault = owner.take(seen)
        upstream = None
        try:
            reply = fault.before(exchange)
            if reply is None:
                if owner.upstream is None:
                    reply = Reply(404, {}, iter([b"{}"]), 2)
                else:
                    upstream = owner.connect_upstream()
                    reply = _asked_upstream(upstream, exchange, body)
                fault.change(reply, exchange)
            seen.status = reply.status
            self._send(reply, seen)
        except Hangup as end:
            self.wfile.flush()
            self._hang_up(reset=end.reset)
        finally:
            if upstream is not None:
                upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _send(self, reply: Reply, seen: Seen) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.length is not None:
            self.send_header("Content-Length", str(reply.length))
        elif reply.status not in _BODILESS:
            self.send_header("Transfer-Encoding", "chunked")
        if reply.close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.flush()
        if self.command == "HEAD" or reply.status in _BODILESS:
            return
        for data in reply.body:
            if not data:
                continue
            seen.body_sent += len(data)  # first: who has got all of it may look at once
            self.wfile.write(data if reply.length is not None else b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()
        if reply.length is None:
            self.wfile.write(b"0\r\n\r\n")

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:  # to close with a linger time of nothing sends RST: socket(7), SO_LINGER
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)


def _asked_upstream(upstream: http.client.HTTPConnection, exchange: Exchange, body: bytes) -> Reply:
    """The answer of the registry behind; 502 where it is not there."""
    try:
        return _pass_on(upstream, exchange, body)
    except (OSError, http.client.HTTPException):
        return Reply(502, {}, iter([b"no registry\n"]), 12)


def _pass_on(upstream: http.client.HTTPConnection, exchange: Exchange, body: bytes) -> Reply:
    upstream.putrequest(exchange.method, exchange.target, skip_host=True, skip_accept_encoding=True)
    for name, value in exchange.headers.items():
        if name.lower() not in _BETWEEN_TWO:
            upstream.putheader(name, value)
    if exchange.method not in ("GET", "HEAD"):
        upstream.putheader("Content-Length", str(len(body)))
    if exchange.base_url.startswith("https:"):
        upstream.putheader("X-Forwarded-Proto", "https")
    upstream.endheaders(body or None)
    answer = upstream.getresponse()
    headers = {name: value for name, value in answer.getheaders() if name.lower() not in _BETWEEN_TWO}
    length = answer.getheader("Content-Length")
    return Reply(answer.status, headers, _parts(answer), None if length is None else int(length))


def _parts(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while data := answer.read1(_CHUNK):
            yield data
    except (OSError, http.client.HTTPException) as error:
        raise Hangup from error
