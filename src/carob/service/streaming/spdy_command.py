"""An exec or attach over SPDY: a stream for each of error, stdin, stdout, stderr and resize.

A stream's header ``streamtype`` says which it is (k8s.io/api core/v1, k8s.io/streaming remotecommand).
"""

from __future__ import annotations

from carob.service.streaming import protocols
from carob.service.streaming.events import Began, Input, InputEnded, Left
from carob.service.streaming.sizes import SizeReader
from carob.service.streaming.spdy.connection import Connection
from carob.service.streaming.spdy.events import DataReceived, StreamOpened, StreamReset
from carob.service.streaming.spdy.failures import ProtocolError, ResetStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.service.streaming.events import CommandEvent
    from carob.service.streaming.spdy.events import Event
    from carob.service.streaming.status import Outcome
    from carob.service.streaming.wanted import Wanted

_KINDS = ("error", "stdin", "stdout", "stderr", "resize")


class SpdyCommand:
    """One session. ``receive`` gives what the client did, ``take`` what is to be sent to it."""

    def __init__(self, protocol: str, wanted: Wanted) -> None:
        self._connection = Connection()
        self._has_documents = protocols.has_documents(protocol)
        self._missing = {"error"}
        self._missing |= {kind for kind in ("stdin", "stdout", "stderr") if getattr(wanted, kind)}
        if wanted.tty and protocols.has_sizes(protocol):
            self._missing.add("resize")
        self._streams: dict[str, int] = {}
        self._sizes = SizeReader()

    def begin(self) -> list[CommandEvent]:
        """What there is before the client has sent anything."""
        return []

    def receive(self, data: bytes) -> list[CommandEvent]:
        """What the client did. A client that breaks the protocol has left."""
        events: list[CommandEvent] = []
        try:
            for event in self._connection.receive(data):
                self._take_in(event, events)
        except ProtocolError:
            events.append(Left())
        return events

    def _take_in(self, event: Event, events: list[CommandEvent]) -> None:
        if isinstance(event, StreamOpened):
            self._opened(event, events)
        elif isinstance(event, DataReceived):
            self._data(event, events)
        elif isinstance(event, StreamReset):
            if event.stream_id == self._streams.get("stdin"):
                events.append(InputEnded())
        else:
            events.append(Left())

    def _opened(self, event: StreamOpened, events: list[CommandEvent]) -> None:
        kind = event.headers.get("streamtype", "")
        if kind not in _KINDS or kind in self._streams:
            self._connection.reset(event.stream_id, ResetStatus.REFUSED_STREAM)
            return
        self._streams[kind] = event.stream_id
        self._connection.reply(event.stream_id)
        if kind == "stdin" and event.has_ended:
            events.append(InputEnded())
        if self._missing:
            self._missing.discard(kind)
            if not self._missing:
                events.append(Began())

    def _data(self, event: DataReceived, events: list[CommandEvent]) -> None:
        if event.stream_id == self._streams.get("stdin"):
            if event.data:
                events.append(Input(event.data))
            if event.has_ended:
                events.append(InputEnded())
            return
        if event.stream_id == self._streams.get("resize"):
            events += self._sizes.read(event.data)
        self._connection.acknowledge(event.stream_id, len(event.data))

    def used(self, count: int) -> None:
        """Bytes of the input were used up."""
        self._connection.acknowledge(self._streams.get("stdin", 0), count)

    def stdout(self, data: bytes) -> None:
        """Sends output."""
        self._connection.send(self._streams.get("stdout", 0), data)

    def stderr(self, data: bytes) -> None:
        """Sends output of the other kind."""
        self._connection.send(self._streams.get("stderr", 0), data)

    def end(self, outcome: Outcome) -> None:
        """Says how it went, and ends all streams. It is for the client to close the connection then."""
        error = self._streams.get("error", 0)
        self._connection.send(error, outcome.document() if self._has_documents else outcome.text())
        for kind in ("stdout", "stderr", "error", "stdin", "resize"):
            self._connection.finish(self._streams.get(kind, 0))

    def is_blocked(self) -> bool:
        """Whether no more should be sent for now."""
        return self._connection.is_blocked()

    def take(self) -> bytes:
        """What is to be sent now, once."""
        return self._connection.take()
