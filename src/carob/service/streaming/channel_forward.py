"""Port-forward over a WebSocket's channels: for the n-th port, data on channel 2n and errors on 2n + 1.

Each is begun from here with its port, two bytes, the lower one first. There is one connection a port, and no
way to say that one side has ended.
"""

from __future__ import annotations

from carob.service.streaming.channels import Channels
from carob.service.streaming.events import ForwardBegan, ForwardInput, Left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.service.streaming.events import ForwardEvent


class ChannelForward:
    """One session, with the verbs of ``SpdyForward``. The key of a connection is its data channel."""

    def __init__(self, protocol: str, ports: Sequence[int]) -> None:
        self._channels = Channels(protocol)
        self._ports = {2 * number: port for number, port in enumerate(ports)}
        self._going_on = set(self._ports)
        self._has_left = False

    def begin(self) -> list[ForwardEvent]:
        """All connections are there from the start."""
        events: list[ForwardEvent] = []
        for key, port in self._ports.items():
            for channel in (key, key + 1):
                self._channels.send(channel, port.to_bytes(2, "little"))
            events.append(ForwardBegan(key, port))
        return events

    def receive(self, data: bytes) -> list[ForwardEvent]:
        """What the client did."""
        events: list[ForwardEvent] = [
            ForwardInput(received.channel, received.data)
            for received in self._channels.receive(data)
            if received.channel in self._going_on
        ]
        if self._channels.is_closed and not self._has_left:
            self._has_left = True
            events.append(Left())
        return events

    def used(self, key: int, count: int) -> None:
        """A WebSocket has no windows: TCP holds the client back."""

    def output(self, key: int, data: bytes) -> None:
        """Sends what the pod's side wrote."""
        self._channels.send(key, data)

    def output_ended(self, key: int) -> None:
        """There is no way to say so."""

    def end(self, key: int, failure: str = "") -> None:
        """The connection is over; with the last of them, the session."""
        if failure:
            self._channels.send(key + 1, failure.encode())
        self._going_on.discard(key)
        if not self._going_on:
            self._channels.close()

    def end_all(self) -> None:
        """The session is over."""
        self._channels.close()

    def is_blocked(self) -> bool:
        """Never: there are no windows."""
        return False

    def take(self) -> bytes:
        """What is to be sent now, once."""
        return self._channels.take()
