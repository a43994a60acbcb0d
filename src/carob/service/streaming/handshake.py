"""The one HTTP request of a connection, and its answer: switching protocols, or why not (h11; RFC 9112)."""

from __future__ import annotations

import h11
from wsproto.utilities import generate_accept_token

from carob.service.streaming import protocols
from carob.service.streaming.protocols import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_BYTES = 16384
_VERSION_HEADER = "x-stream-protocol-version"
_MOST_KEY = 100


class Refusal(Exception):
    """The request is answered with this status, and that is all."""

    def __init__(self, status: int, reason: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


class Upgrade:
    """What is spoken from now on."""

    __slots__ = ("protocol", "transport")

    def __init__(self, transport: Transport, protocol: str) -> None:
        self.transport = transport
        self.protocol = protocol


class Handshake:
    """Reads the request, and writes the answer."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_BYTES)
        self._request: h11.Request | None = None

    def receive(self, data: bytes) -> str | None:
        """The path that is asked for, once the request is there. Raises ``Refusal``."""
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    self._request = event
                elif isinstance(event, h11.Data):
                    raise Refusal(413, "a stream begins with an empty request")
                elif isinstance(event, h11.ConnectionClosed):
                    raise Refusal(400, "no request")
                elif isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                    break
                else:
                    return None
        except h11.RemoteProtocolError as error:
            raise Refusal(error.error_status_hint, str(error)) from error
        assert self._request is not None
        if self._request.method not in (b"GET", b"POST"):
            raise Refusal(405, "GET or POST", [("allow", "GET, POST")])
        return self._request.target.decode("latin-1").partition("?")[0]

    def choose(self, spdy: Sequence[str], websocket: Sequence[str]) -> Upgrade:
        """What to speak, of these protocols. Raises ``Refusal``."""
        upgrade = self._tokens("upgrade")
        if "upgrade" not in self._tokens("connection") or not upgrade:
            raise Refusal(400, "an upgrade to SPDY/3.1 or websocket is needed", [("upgrade", protocols.SPDY)])
        if "websocket" in upgrade:
            key = self._value("sec-websocket-key")
            if self._method() != "GET" or not 0 < len(key) <= _MOST_KEY:
                raise Refusal(400, "a WebSocket begins with GET and a key")
            if self._value("sec-websocket-version") != "13":
                raise Refusal(426, "WebSocket version 13", [("sec-websocket-version", "13")])
            chosen = protocols.choose(self._values("sec-websocket-protocol"), websocket)
            if chosen is None:
                raise Refusal(400, "none of these protocols is spoken here: " + ", ".join(websocket))
            return Upgrade(Transport.WEBSOCKET, chosen)
        if protocols.SPDY.lower() not in upgrade:
            raise Refusal(400, "an upgrade to SPDY/3.1 or websocket is needed", [("upgrade", protocols.SPDY)])
        chosen = protocols.choose(self._values(_VERSION_HEADER), spdy)
        if chosen is None:
            accepted = [("x-accepted-stream-protocol-versions", name) for name in spdy]
            raise Refusal(403, "none of these protocols is spoken here", accepted)
        return Upgrade(Transport.SPDY, chosen)

    def switch(self, upgrade: Upgrade) -> tuple[bytes, bytes]:
        """The answer, and what the client has sent after its request already."""
        headers = [("connection", "Upgrade")]
        if upgrade.transport is Transport.WEBSOCKET:
            accept = generate_accept_token(self._value("sec-websocket-key").encode("latin-1")).decode()
            headers += [("upgrade", "websocket"), ("sec-websocket-accept", accept)]
            if upgrade.protocol:
                headers.append(("sec-websocket-protocol", upgrade.protocol))
        else:
            headers.append(("upgrade", protocols.SPDY))
            if upgrade.protocol:
                headers.append((_VERSION_HEADER, upgrade.protocol))
        answer = self._http.send(h11.InformationalResponse(status_code=101, headers=headers, reason=b""))
        assert answer is not None
        return answer, self._http.trailing_data[0]

    def refuse(self, refusal: Refusal) -> bytes:
        """The answer that says why not."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        body = f"{refusal}\n".encode()
        headers = [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(body))),
            ("connection", "close"),
            *refusal.headers,
        ]
        parts = (
            self._http.send(h11.Response(status_code=refusal.status, headers=headers)),
            self._http.send(h11.Data(data=body)),
            self._http.send(h11.EndOfMessage()),
        )
        return b"".join(part or b"" for part in parts)

    def _method(self) -> str:
        assert self._request is not None
        return self._request.method.decode()

    def _values(self, name: str) -> list[str]:
        assert self._request is not None
        return [
            value.decode("latin-1") for key, value in self._request.headers if key.decode("latin-1") == name
        ]

    def _value(self, name: str) -> str:
        return next(iter(self._values(name)), "")

    def _tokens(self, name: str) -> set[str]:
        return {token.strip().lower() for value in self._values(name) for token in value.split(",")} - {""}
