"""Numbered channels over a WebSocket: the first byte of a message says which, the rest is for it.

In the base64 protocols messages are text: a digit for the channel, and base64 after it. From version 5 on
a message on channel 255 says by its one byte that a channel has ended.
Source: k8s.io/streaming pkg/httpstream/wsstream, k8s.io/client-go tools/remotecommand.
"""

from __future__ import annotations

import base64
import binascii

from wsproto.frame_protocol import CloseReason

from carob.service.streaming.websocket import WebSocket

CLOSE_CHANNEL = 255
_MOST_TEXT = 1 << 20


class ChannelData:
    """Bytes that came on a channel."""

    __slots__ = ("channel", "data")

    def __init__(self, channel: int, data: bytes) -> None:
        self.channel = channel
        self.data = data


class Channels:
    """Those of one WebSocket."""

    def __init__(self, protocol: str) -> None:
        self._socket = WebSocket()
        self._is_text = "base64" in protocol
        self._has_close = protocol.startswith("v5.")
        self._channel: int | None = None  # of the message whose pieces are coming
        self._text: list[str] = []
        self._text_length = 0

    @property
    def is_closed(self) -> bool:
        """Whether the client said goodbye, or was sent away for what it sent."""
        return self._socket.is_closed

    def receive(self, data: bytes) -> list[ChannelData]:
        """What came for the channels. The end of one, where the protocol has that, is data on 255."""
        received: list[ChannelData] = []
        for piece in self._socket.receive(data):
            if isinstance(piece.data, str) != self._is_text:
                self._refuse(CloseReason.UNSUPPORTED_DATA, "the wrong type of message for this protocol")
                break
            if isinstance(piece.data, str):
                self._take_text(piece.data, received, is_last=piece.is_last)
            else:
                self._take_bytes(piece.data, received, is_last=piece.is_last)
        return received

    def _take_bytes(self, data: bytes, received: list[ChannelData], *, is_last: bool) -> None:
        if self._channel is None and data:
            self._channel, data = data[0], data[1:]
        if self._channel is not None and data and (self._channel != CLOSE_CHANNEL or self._has_close):
            received.append(ChannelData(self._channel, data))
        if is_last:
            self._channel = None

    def _take_text(self, text: str, received: list[ChannelData], *, is_last: bool) -> None:
        self._text.append(text)
        self._text_length += len(text)
        if self._text_length > _MOST_TEXT:
            self._refuse(CloseReason.MESSAGE_TOO_BIG, f"a message of more than {_MOST_TEXT} characters")
        elif is_last:
            whole = "".join(self._text)
            self._text, self._text_length = [], 0
            try:
                data = base64.b64decode(whole[1:].encode("ascii"), validate=True)
            except (binascii.Error, UnicodeEncodeError):
                self._refuse(CloseReason.INVALID_FRAME_PAYLOAD_DATA, "a message that is no base64")
                return
            if whole[:1].isascii() and whole[:1].isdigit() and data:
                received.append(ChannelData(int(whole[0]), data))

    def _refuse(self, code: CloseReason, reason: str) -> None:
        self._text, self._text_length = [], 0
        self._socket.close(code, reason)
        self._socket.is_closed = True

    def send(self, channel: int, data: bytes) -> None:
        """A message on a channel."""
        if self._is_text:
            self._socket.send_text(str(channel) + base64.b64encode(data).decode())
        else:
            self._socket.send_bytes(bytes((channel,)) + data)

    def close(self) -> None:
        """Says goodbye."""
        self._socket.close()

    def take(self) -> bytes:
        """What is to be sent now, once."""
        return self._socket.take()
