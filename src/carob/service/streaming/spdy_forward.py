"""Port-forward over SPDY: for each connection a pair of streams, error and data, with one ``requestid``.

Source: k8s.io/client-go tools/portforward, k8s.io/streaming portforward. Old clients send no request id;
there the data stream follows the error stream by its number.
"""

from __future__ import annotations

from carob.service.streaming.events import (
    ForwardBegan,
    ForwardDropped,
    ForwardInput,
    ForwardInputEnded,
    Left,
)
from carob.service.streaming.spdy.connection import Connection
from carob.service.streaming.spdy.events import DataReceived, StreamOpened, StreamReset
from carob.service.streaming.spdy.failures import ProtocolError, ResetStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.service.streaming.events import ForwardEvent
    from carob.service.streaming.spdy.events import Event

_LAST_PORT = 65535


class SpdyForward:
    """One session with any number of connections. The key of one is the number of its data stream."""

    def __init__(self) -> None:
        self._connection = Connection()
        self._errors: dict[str, int] = {}  # error streams by request id
        self._requests: dict[int, str] = {}  # request ids by data stream

    def begin(self) -> list[ForwardEvent]:
        """What there is before the client has sent anything."""
        return []

    def receive(self, data: bytes) -> list[ForwardEvent]:
        """What the client did. A client that breaks the protocol has left."""
        events: list[ForwardEvent] = []
        try:
            for event in self._connection.receive(data):
                self._take_in(event, events)
        except ProtocolError:
            events.append(Left())
        return events

    def _take_in(self, event: Event, events: list[ForwardEvent]) -> None:
        if isinstance(event, StreamOpened):
            self._opened(event, events)
        elif isinstance(event, DataReceived):
            if event.stream_id not in self._requests:
                self._connection.acknowledge(event.stream_id, len(event.data))
                return
            if event.data:
                events.append(ForwardInput(event.stream_id, event.data))
            if event.has_ended:
                events.append(ForwardInputEnded(event.stream_id))
        elif isinstance(event, StreamReset):
            if event.stream_id in self._requests:
                events.append(ForwardDropped(event.stream_id))
            for request in [one for one, stream in self._errors.items() if stream == event.stream_id]:
                del self._errors[request]
        else:
            events.append(Left())

    def _opened(self, event: StreamOpened, events: list[ForwardEvent]) -> None:
        kind, stream_id = event.headers.get("streamtype", ""), event.stream_id
        port = _port(event.headers.get("port", ""))
        request = event.headers.get("requestid") or str(stream_id - 2 * (kind == "data"))
        if port is None or kind not in ("error", "data") or (kind == "error" and request in self._errors):
            self._connection.reset(stream_id, ResetStatus.REFUSED_STREAM)
            return
        self._connection.reply(stream_id)
        if kind == "error":
            self._errors[request] = stream_id
            return
        self._requests[stream_id] = request
        events.append(ForwardBegan(stream_id, port))
        if event.has_ended:
            events.append(ForwardInputEnded(stream_id))

    def used(self, key: int, count: int) -> None:
        """Bytes for a connection were used up."""
        self._connection.acknowledge(key, count)

    def output(self, key: int, data: bytes) -> None:
        """Sends what the pod's side wrote."""
        self._connection.send(key, data)

    def output_ended(self, key: int) -> None:
        """The pod's side writes no more."""
        self._connection.finish(key)

    def end(self, key: int, failure: str = "") -> None:
        """The connection is over; ``failure`` says what went wrong, if anything."""
        error = self._errors.pop(self._requests.pop(key, ""), 0)
        if failure:
            self._connection.send(error, failure.encode())
        self._connection.finish(error)
        self._connection.finish(key)

    def end_all(self) -> None:
        """The session is over: no more connections. It is for the client to close it."""
        self._connection.go_away()

    def is_blocked(self) -> bool:
        """Whether no more should be sent for now."""
        return self._connection.is_blocked()

    def take(self) -> bytes:
        """What is to be sent now, once."""
        return self._connection.take()


def _port(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5):
        return None
    port = int(text)
    return port if 0 < port <= _LAST_PORT else None
