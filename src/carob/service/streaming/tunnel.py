"""Port-forward as current clients do it: SPDY, whose bytes go through a WebSocket's binary messages.

Where one message ends means nothing. Source: k8s.io/client-go tools/portforward, KEP-4006.
"""

from __future__ import annotations

from wsproto.frame_protocol import CloseReason

from carob.service.streaming.events import Left
from carob.service.streaming.spdy_forward import SpdyForward
from carob.service.streaming.websocket import WebSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.service.streaming.events import ForwardEvent


class TunnelForward(SpdyForward):
    """``SpdyForward`` with a WebSocket around it."""

    def __init__(self) -> None:
        super().__init__()
        self._socket = WebSocket()

    def receive(self, data: bytes) -> list[ForwardEvent]:
        """What the client did."""
        events: list[ForwardEvent] = []
        for piece in self._socket.receive(data):
            if isinstance(piece.data, str):
                self._socket.close(CloseReason.UNSUPPORTED_DATA, "SPDY comes in binary messages")
                return [*events, Left()]
            events += super().receive(piece.data)
        if self._socket.is_closed:
            events.append(Left())
        return events

    def end_all(self) -> None:
        """The session is over."""
        super().end_all()
        self._flush()
        self._socket.close()

    def _flush(self) -> None:
        data = super().take()
        if data:
            self._socket.send_bytes(data)

    def take(self) -> bytes:
        """What is to be sent now, once."""
        self._flush()
        return self._socket.take()
