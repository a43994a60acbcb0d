"""One call of grpc.health.v1.Health/Check over HTTP/2 without TLS, for a probe.

Frames and header compression are h2's: the protocol on top of it is one message each way, and a client of
gRPC's own would be three times as large, with threads of its own.
"""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_METHOD = "/grpc.health.v1.Health/Check"
_STREAM = 1
_PREFIX_BYTES = 5
_SERVING = 1
_STATES = ("unknown", "serving", "not serving", "service unknown")
_MOST_DIGITS = 3
_NOT_FOUND, _UNIMPLEMENTED = "5", "12"
_CLOSED = "it closed the connection"


class Check:
    """One call, for ``service`` (``""``: the server as a whole)."""

    __slots__ = ("_answer", "_authority", "_connection", "_headers", "_service")

    def __init__(self, authority: str, service: str) -> None:
        self._authority = authority
        self._service = service
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._headers: dict[bytes, bytes] = {}
        self._answer = b""

    def begin(self) -> bytes:
        """The connection's preface and the whole request."""
        self._connection.initiate_connection()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", _METHOD),
            (":authority", self._authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "carob-probe"),
        ]
        self._connection.send_headers(_STREAM, headers)
        message = _request(self._service)
        prefixed = b"\0" + len(message).to_bytes(4, "big") + message
        self._connection.send_data(_STREAM, prefixed, end_stream=True)
        return bytes(self._connection.data_to_send())

    def hear(self, data: bytes) -> tuple[bytes, str | None]:
        """What HTTP/2 has to say to that, and the verdict at the answer's end."""
        try:
            verdict = self._take(self._connection.receive_data(data))
        except (ProtocolError, UnicodeDecodeError):
            return b"", "its answer is not HTTP/2"
        return self._connection.data_to_send(), verdict

    def _take(self, events: Iterable[Any]) -> str | None:
        for event in events:
            match event:
                case ResponseReceived() | TrailersReceived():
                    self._headers.update(event.headers)
                case DataReceived():
                    self._answer += event.data
                    self._connection.acknowledge_received_data(event.flow_controlled_length, _STREAM)
                case StreamEnded():
                    return self._verdict()
                case StreamReset():
                    return f"it reset the call (HTTP/2 error {int(event.error_code)})"
                case ConnectionTerminated():
                    return _CLOSED
        return None

    def _verdict(self) -> str:
        status = _number(self._headers.get(b":status", b""))
        if status != "200":
            return f"HTTP {status}" if status else "its answer is not HTTP/2"
        code = _number(self._headers.get(b"grpc-status", b""))
        if code == _UNIMPLEMENTED:
            return "it does not implement grpc.health.v1.Health"
        if code == _NOT_FOUND:
            return f"it knows no service {self._service!r}"
        if code != "0":
            return f"gRPC status {code}" if code else "its answer is not gRPC"
        state = _state(self._answer)
        if state == _SERVING:
            return ""
        return f"gRPC health: {_STATES[state] if 0 <= state < len(_STATES) else state}"

    def over(self) -> str:
        """Closed before its answer was whole."""
        return _CLOSED


def _number(word: bytes) -> str:
    """A number as a header has it; ``""`` for any other word of a stranger's."""
    return word.decode("ascii") if word.isdigit() and len(word) <= _MOST_DIGITS else ""


def _request(service: str) -> bytes:
    """HealthCheckRequest: ``string service = 1``."""
    name = service.encode()
    return b"\x0a" + _varint(len(name)) + name if name else b""


def _varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def _state(answer: bytes) -> int:
    """HealthCheckResponse, in gRPC's prefix: ``ServingStatus status = 1``; 0 where it is not that."""
    size = int.from_bytes(answer[1:_PREFIX_BYTES], "big")
    message = answer[_PREFIX_BYTES : _PREFIX_BYTES + size]
    if answer[:1] != b"\0" or len(message) != size or message[:1] != b"\x08":
        return 0
    return message[1] if len(message) > 1 and message[1] < 0x80 else 0
