"""An exec or attach over a WebSocket: channels 0 to 4 are stdin, stdout, stderr, error and resize."""

from __future__ import annotations

from carob.service.streaming import protocols
from carob.service.streaming.channels import CLOSE_CHANNEL, Channels
from carob.service.streaming.events import Began, Input, InputEnded, Left
from carob.service.streaming.sizes import SizeReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.service.streaming.events import CommandEvent
    from carob.service.streaming.status import Outcome
    from carob.service.streaming.wanted import Wanted

_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE = range(5)


class ChannelCommand:
    """One session, with the verbs of ``SpdyCommand``."""

    def __init__(self, protocol: str, wanted: Wanted) -> None:
        self._channels = Channels(protocol)
        self._has_documents = protocols.has_documents(protocol)
        self._wanted = wanted
        self._sizes = SizeReader()
        self._has_left = False

    def begin(self) -> list[CommandEvent]:
        """All streams are there from the start; an empty message tells the client so."""
        first = _STDOUT if self._wanted.stdout else _STDERR if self._wanted.stderr else _ERROR
        self._channels.send(first, b"")
        return [Began()]

    def receive(self, data: bytes) -> list[CommandEvent]:
        """What the client did."""
        events: list[CommandEvent] = []
        for received in self._channels.receive(data):
            if received.channel == _STDIN and self._wanted.stdin:
                events.append(Input(received.data))
            elif received.channel == _RESIZE:
                events += self._sizes.read(received.data)
            elif received.channel == CLOSE_CHANNEL and received.data[0] == _STDIN:
                events.append(InputEnded())
        if self._channels.is_closed and not self._has_left:
            self._has_left = True
            events.append(Left())
        return events

    def used(self, count: int) -> None:
        """A WebSocket has no windows: TCP holds the client back."""

    def stdout(self, data: bytes) -> None:
        """Sends output."""
        if self._wanted.stdout:
            self._channels.send(_STDOUT, data)

    def stderr(self, data: bytes) -> None:
        """Sends output of the other kind."""
        if self._wanted.stderr:
            self._channels.send(_STDERR, data)

    def end(self, outcome: Outcome) -> None:
        """Says how it went, and goodbye."""
        said = outcome.document() if self._has_documents else outcome.text()
        if said:
            self._channels.send(_ERROR, said)
        self._channels.close()

    def is_blocked(self) -> bool:
        """Never: there are no windows."""
        return False

    def take(self) -> bytes:
        """What is to be sent now, once."""
        return self._channels.take()
