"""A WebSocket of which the handshake is done, from the server's side: wsproto does the frames (RFC 6455)."""

from __future__ import annotations

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

_ACCEPTED = (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING)


class Piece:
    """Some or all of a message: bytes, or text of a text message. ``is_last`` with its end."""

    __slots__ = ("data", "is_last")

    def __init__(self, data: bytes | str, *, is_last: bool) -> None:
        self.data = data
        self.is_last = is_last


class WebSocket:
    """Messages in and out, in pieces as they arrive. Pings are answered, and so is a close."""

    def __init__(self) -> None:
        self._connection = Connection(ConnectionType.SERVER)
        self._out: list[bytes] = []
        self.is_closed = False

    def receive(self, data: bytes) -> list[Piece]:
        """The pieces of messages in these bytes. What breaks the protocol closes the socket from here."""
        pieces: list[Piece] = []
        if self._connection.state not in _ACCEPTED:
            return pieces
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, Message):
                content = event.data if isinstance(event.data, str) else bytes(event.data)
                pieces.append(Piece(content, is_last=event.message_finished))
            elif isinstance(event, Ping):
                self._send(event.response())
            elif isinstance(event, CloseConnection):
                self._send(event.response())
                self.is_closed = True
                break
        return pieces

    def send_bytes(self, data: bytes) -> None:
        """A whole binary message."""
        self._send(BytesMessage(data=data))

    def send_text(self, data: str) -> None:
        """A whole text message."""
        self._send(TextMessage(data=data))

    def close(self, code: CloseReason = CloseReason.NORMAL_CLOSURE, reason: str = "") -> None:
        """Says goodbye; nothing can be sent after that."""
        self._send(CloseConnection(code=code, reason=reason))

    def take(self) -> bytes:
        """What is to be sent now, once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _send(self, event: Event) -> None:
        try:
            self._out.append(self._connection.send(event))
        except LocalProtocolError:
            pass  # it is closing already: who is there to tell has gone
