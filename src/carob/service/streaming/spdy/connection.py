"""One connection, from the server's side: give it the bytes that came, send the bytes that ``take`` gives.

A client's streams have odd numbers. Nothing is opened from here (no server push). A stream that breaks the
rules is reset, as a connection that does is not to be mended: GOAWAY, and ``ProtocolError``.
"""

from __future__ import annotations

from carob.service.streaming.spdy import frames
from carob.service.streaming.spdy.events import DataReceived, StreamOpened, StreamReset, WentAway
from carob.service.streaming.spdy.failures import GoAwayStatus, ProtocolError, ResetStatus, StreamError
from carob.service.streaming.spdy.frames import ControlFrame, DataPiece, Kind
from carob.service.streaming.spdy.headers import Deflater, Inflater
from carob.service.streaming.spdy.windows import INITIAL_BYTES, Windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from carob.service.streaming.spdy.events import Event

MOST_STREAMS = 256
"""Open at a time, of one connection."""
_INITIAL_WINDOW_SIZE = 7  # an id of SETTINGS
_NO_HEADERS: Mapping[str, str] = {}


class _Stream:
    """``pending`` waits for the peer's windows; ``unacknowledged`` was used up here and not yet told."""

    __slots__ = ("has_ended", "is_ending", "is_finished", "pending", "unacknowledged")

    def __init__(self, *, has_ended: bool, is_finished: bool) -> None:
        self.has_ended = has_ended
        self.is_finished = is_finished
        self.is_ending = False
        self.pending = bytearray()
        self.unacknowledged = 0


class Connection:
    """The state of one: streams, windows, and what is to be sent."""

    def __init__(self) -> None:
        self._reader = frames.Reader()
        self._inflater = Inflater()
        self._deflater = Deflater()
        self._windows = Windows()
        self._streams: dict[int, _Stream] = {}
        self._highest = 0
        self._unacknowledged = 0
        self._went_away = False
        self._out: list[bytes] = []

    # -- what comes

    def receive(self, data: bytes) -> list[Event]:
        """What the peer did with these bytes.

        Raises ``ProtocolError``: then the connection is over, and what came before it is lost.
        """
        events: list[Event] = []
        try:
            for frame in self._reader.read(data):
                if isinstance(frame, DataPiece):
                    self._data(frame, events)
                else:
                    self._control(frame, events)
        except ProtocolError:
            self.go_away(GoAwayStatus.PROTOCOL_ERROR)
            raise
        return events

    def _data(self, piece: DataPiece, events: list[Event]) -> None:
        stream_id = piece.stream_id
        stream = self._streams.get(stream_id)
        if stream is None or stream.has_ended:
            # It was reset from here, perhaps, and the peer did not know yet: TCP's order of things, no fault.
            self._used_up(None, 0, len(piece.data))
            if not stream_id % 2 or stream_id > self._highest:
                raise ProtocolError(f"data for stream {stream_id}, which nobody opened")
            if stream is not None:
                self._fail(stream_id, ResetStatus.STREAM_ALREADY_CLOSED, events)
            return
        has_ended = piece.is_last and bool(piece.flags & frames.FIN)
        events.append(DataReceived(stream_id, piece.data, has_ended=has_ended))
        if has_ended:
            self._ended(stream_id, stream)

    def _control(self, frame: ControlFrame, events: list[Event]) -> None:
        match frame.kind:
            case Kind.SYN_STREAM:
                self._syn_stream(frame, events)
            case Kind.HEADERS | Kind.SYN_REPLY:
                # No client of Kubernetes sends these; a block is read all the same, for the sake of the next.
                if len(frame.payload) < 4:
                    raise ProtocolError("a frame with headers is too short")
                self._headers(frame, events)
            case Kind.RST_STREAM:
                stream_id, status = _numbers(frame, 2)
                if self._forget(stream_id):
                    events.append(StreamReset(stream_id, status))
            case Kind.SETTINGS:
                self._settings(frame)
            case Kind.PING:
                (ping,) = _numbers(frame, 1)
                if ping % 2:  # even ones would be answers, and nothing is asked from here
                    self._out.append(frames.numbers(Kind.PING, ping))
            case Kind.GOAWAY:
                _, status = _numbers(frame, 2)
                events.append(WentAway(status))
            case Kind.WINDOW_UPDATE:
                stream_id, count = _numbers(frame, 2)
                try:
                    self._windows.open(stream_id & frames.LAST_ID, count & frames.LAST_ID)
                except StreamError as error:
                    self._fail(stream_id & frames.LAST_ID, error.status, events)
                self._send_pending()
            case _:
                pass  # what is unknown is to be passed over (2.2.1)

    def _syn_stream(self, frame: ControlFrame, events: list[Event]) -> None:
        if len(frame.payload) < 10:
            raise ProtocolError("a SYN_STREAM frame is too short")
        stream_id = int.from_bytes(frame.payload[:4], "big") & frames.LAST_ID
        try:
            headers = self._inflater.read(frame.payload[10:])
        except StreamError as error:
            self._highest = max(self._highest, stream_id)
            self._reset(stream_id, error.status)
            return
        if not stream_id % 2:
            raise ProtocolError(f"a client opens stream {stream_id}")
        if stream_id <= self._highest:
            # Clients that open several at once have been seen to mix up their order.
            self._fail(stream_id, ResetStatus.PROTOCOL_ERROR, events)
            return
        self._highest = stream_id
        if self._went_away or len(self._streams) >= MOST_STREAMS:
            self._reset(stream_id, ResetStatus.REFUSED_STREAM)
            return
        has_ended = bool(frame.flags & frames.FIN)
        is_finished = bool(frame.flags & frames.UNIDIRECTIONAL)
        self._streams[stream_id] = _Stream(has_ended=has_ended, is_finished=is_finished)
        self._windows.add(stream_id)
        events.append(StreamOpened(stream_id, headers, has_ended=has_ended))

    def _headers(self, frame: ControlFrame, events: list[Event]) -> None:
        stream_id = int.from_bytes(frame.payload[:4], "big") & frames.LAST_ID
        try:
            self._inflater.read(frame.payload[4:])
        except StreamError as error:
            self._fail(stream_id, error.status, events)
            return
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.has_ended and frame.flags & frames.FIN:
            events.append(DataReceived(stream_id, b"", has_ended=True))
            self._ended(stream_id, stream)

    def _settings(self, frame: ControlFrame) -> None:
        count = int.from_bytes(frame.payload[:4], "big")
        if len(frame.payload) != 4 + 8 * count:
            raise ProtocolError("a SETTINGS frame is not as long as it says")
        for start in range(4, len(frame.payload), 8):
            key = int.from_bytes(frame.payload[start + 1 : start + 4], "big")
            if key == _INITIAL_WINDOW_SIZE:
                self._windows.set_initial(int.from_bytes(frame.payload[start + 4 : start + 8], "big"))
        self._send_pending()

    # -- what is sent

    def take(self) -> bytes:
        """What is to be sent now, once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def is_blocked(self) -> bool:
        """Whether the peer's windows hold something back: do not send more now."""
        return self._windows.is_kept and any(stream.pending for stream in self._streams.values())

    def is_open(self, stream_id: int) -> bool:
        """Whether the peer may still be sent something on the stream."""
        stream = self._streams.get(stream_id)
        return stream is not None and not stream.is_finished

    def reply(self, stream_id: int) -> None:
        """Takes the stream on."""
        if self.is_open(stream_id):
            block = self._deflater.write(_NO_HEADERS)
            self._out.append(frames.control(Kind.SYN_REPLY, 0, stream_id.to_bytes(4, "big") + block))

    def send(self, stream_id: int, data: bytes) -> None:
        """Sends on a stream, as far as the peer's windows are open, and later the rest.

        On one that is over, which the peer may have decided just now, that does nothing.
        """
        stream = self._streams.get(stream_id)
        if stream is None or stream.is_finished or stream.is_ending or not data:
            return
        if not stream.pending and len(data) <= min(self._windows.room(stream_id), frames.MOST_DATA_BYTES):
            self._windows.use(stream_id, len(data))
            self._out += (frames.data_head(stream_id, 0, len(data)), data)
            return
        stream.pending += data
        self._send_stream(stream_id, stream)

    def finish(self, stream_id: int) -> None:
        """Ends our side of a stream, after what was sent before."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.is_finished:
            stream.is_ending = True
            self._send_stream(stream_id, stream)

    def reset(self, stream_id: int, status: ResetStatus) -> None:
        """Ends a stream both ways at once."""
        if self._forget(stream_id):
            self._reset(stream_id, status)

    def acknowledge(self, stream_id: int, count: int) -> None:
        """Bytes that came were used up: the peer may send as many more."""
        self._used_up(self._streams.get(stream_id), stream_id, count)

    def go_away(self, status: GoAwayStatus = GoAwayStatus.OK) -> None:
        """Says that no more streams are taken on."""
        if not self._went_away:
            self._went_away = True
            self._out.append(frames.numbers(Kind.GOAWAY, self._highest, status))

    def _send_pending(self) -> None:
        for stream_id, stream in list(self._streams.items()):
            if stream.pending or stream.is_ending:
                self._send_stream(stream_id, stream)

    def _send_stream(self, stream_id: int, stream: _Stream) -> None:
        while stream.pending:
            room = min(self._windows.room(stream_id), frames.MOST_DATA_BYTES)
            if not room:
                return
            data = bytes(stream.pending[:room])
            del stream.pending[:room]
            self._windows.use(stream_id, len(data))
            self._out += (frames.data_head(stream_id, 0, len(data)), data)
        if stream.is_ending and not stream.is_finished:
            stream.is_finished = True
            self._out.append(frames.data_head(stream_id, frames.FIN, 0))
            if stream.has_ended:
                self._forget(stream_id)

    def _used_up(self, stream: _Stream | None, stream_id: int, count: int) -> None:
        self._unacknowledged += count
        if self._unacknowledged >= INITIAL_BYTES // 2:
            self._out.append(frames.numbers(Kind.WINDOW_UPDATE, 0, self._unacknowledged))
            self._unacknowledged = 0
        if stream is None or stream.has_ended:
            return
        stream.unacknowledged += count
        if stream.unacknowledged >= INITIAL_BYTES // 2:
            self._out.append(frames.numbers(Kind.WINDOW_UPDATE, stream_id, stream.unacknowledged))
            stream.unacknowledged = 0

    def _ended(self, stream_id: int, stream: _Stream) -> None:
        stream.has_ended = True
        if stream.is_finished:
            self._forget(stream_id)

    def _forget(self, stream_id: int) -> bool:
        self._windows.forget(stream_id)
        return self._streams.pop(stream_id, None) is not None

    def _fail(self, stream_id: int, status: ResetStatus, events: list[Event]) -> None:
        """The peer broke the rules on a stream: it is reset, and whoever serves it is told."""
        self._reset(stream_id, status)
        if self._forget(stream_id):
            events.append(StreamReset(stream_id, status))

    def _reset(self, stream_id: int, status: ResetStatus) -> None:
        self._out.append(frames.numbers(Kind.RST_STREAM, stream_id, status))


def _numbers(frame: ControlFrame, count: int) -> tuple[int, ...]:
    """The 32-bit numbers that a frame consists of."""
    if len(frame.payload) != 4 * count:
        raise ProtocolError(f"a frame of kind {frame.kind} has {len(frame.payload)} bytes")
    return tuple(int.from_bytes(frame.payload[start : start + 4], "big") for start in range(0, 4 * count, 4))
