"""Frames on the wire (SPDY/3.1, 2.2). Control frames come whole, data as it arrives."""

from __future__ import annotations

from enum import IntEnum

from carob.service.streaming.spdy.failures import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 3
FIN = 0x01
UNIDIRECTIONAL = 0x02
LAST_ID = 0x7FFFFFFF
MOST_CONTROL_BYTES = 16384
MOST_DATA_BYTES = 0xFFFFFF
_HEAD_BYTES = 8


class Kind(IntEnum):
    """The kinds of control frames."""

    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class ControlFrame:
    """``kind`` is one of ``Kind``, or a number that the protocol may have got later."""

    __slots__ = ("flags", "kind", "payload")

    def __init__(self, kind: int, flags: int, payload: bytes) -> None:
        self.kind = kind
        self.flags = flags
        self.payload = payload


class DataPiece:
    """Some or all of a data frame; ``is_last`` with its last byte."""

    __slots__ = ("data", "flags", "is_last", "stream_id")

    def __init__(self, stream_id: int, flags: int, data: bytes, *, is_last: bool) -> None:
        self.stream_id = stream_id
        self.flags = flags
        self.data = data
        self.is_last = is_last


class Reader:
    """Parts what arrives into frames. It holds no more than one control frame."""

    __slots__ = ("_data_flags", "_data_id", "_data_left", "_held")

    def __init__(self) -> None:
        self._held = bytearray()
        self._data_id = 0
        self._data_flags = 0
        self._data_left = 0

    def read(self, data: bytes) -> Iterator[ControlFrame | DataPiece]:
        """The frames that these bytes complete. Raises ``ProtocolError``."""
        self._held += data
        while True:
            if self._data_left:
                if not self._held:
                    return
                yield self._piece()
                continue
            if len(self._held) < _HEAD_BYTES:
                return
            first = int.from_bytes(self._held[:4], "big")
            flags, length = self._held[4], int.from_bytes(self._held[5:8], "big")
            if not first >> 31:
                del self._held[:_HEAD_BYTES]
                self._data_id, self._data_flags, self._data_left = first, flags, length
                if not length:
                    yield DataPiece(first, flags, b"", is_last=True)
                continue
            version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
            if version != VERSION:
                raise ProtocolError(f"a frame of SPDY version {version}")
            if length > MOST_CONTROL_BYTES:
                raise ProtocolError(f"a control frame of {length} bytes")
            if len(self._held) < _HEAD_BYTES + length:
                return
            payload = bytes(self._held[_HEAD_BYTES : _HEAD_BYTES + length])
            del self._held[: _HEAD_BYTES + length]
            yield ControlFrame(kind, flags, payload)

    def _piece(self) -> DataPiece:
        data = bytes(self._held[: self._data_left])
        del self._held[: len(data)]
        self._data_left -= len(data)
        return DataPiece(self._data_id, self._data_flags, data, is_last=not self._data_left)


def control(kind: Kind, flags: int, payload: bytes) -> bytes:
    """A control frame."""
    first = 0x80000000 | VERSION << 16 | kind
    return first.to_bytes(4, "big") + bytes((flags,)) + len(payload).to_bytes(3, "big") + payload


def numbers(kind: Kind, *values: int) -> bytes:
    """A control frame of 32-bit numbers and no flags: RST_STREAM, PING, GOAWAY, WINDOW_UPDATE."""
    return control(kind, 0, b"".join(value.to_bytes(4, "big") for value in values))


def data_head(stream_id: int, flags: int, length: int) -> bytes:
    """What goes before the data of a data frame."""
    return stream_id.to_bytes(4, "big") + bytes((flags,)) + length.to_bytes(3, "big")
