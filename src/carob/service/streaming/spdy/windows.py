"""How much may be sent: the peer's windows, of each stream and of all together (SPDY/3.1, 2.6.8).

Kubernetes' clients are built on a library that neither sends WINDOW_UPDATE nor looks at it: a window of
theirs would close after 64 KiB for ever. So the windows are counted from the start, and held to as soon as
a peer has shown that it opens them. Until then TCP holds back whoever sends too fast.
"""

from __future__ import annotations

from carob.service.streaming.spdy.failures import ProtocolError, ResetStatus, StreamError

INITIAL_BYTES = 65536
_MOST_BYTES = 0x7FFFFFFF


class Windows:
    """Those of one connection; ``is_kept``: the peer opens them."""

    __slots__ = ("_initial", "_session", "_streams", "is_kept")

    def __init__(self) -> None:
        self.is_kept = False
        self._initial = INITIAL_BYTES
        self._session = INITIAL_BYTES
        self._streams: dict[int, int] = {}

    def add(self, stream_id: int) -> None:
        """A stream begins."""
        self._streams[stream_id] = self._initial

    def forget(self, stream_id: int) -> None:
        """A stream is over."""
        self._streams.pop(stream_id, None)

    def room(self, stream_id: int) -> int:
        """How many bytes may be sent on the stream now."""
        if not self.is_kept:
            return _MOST_BYTES
        return max(0, min(self._session, self._streams[stream_id]))

    def use(self, stream_id: int, count: int) -> None:
        """Bytes were sent."""
        self._session -= count
        self._streams[stream_id] -= count

    def open(self, stream_id: int, count: int) -> None:
        """WINDOW_UPDATE: of a stream, or with 0 of all. Raises ``ProtocolError``, ``StreamError``."""
        if not stream_id:
            self.is_kept = True
            self._session += count
            if not count or self._session > _MOST_BYTES:
                raise ProtocolError("a window of more than 2 GiB, or an update by nothing")
            return
        self.is_kept = True
        if stream_id not in self._streams:
            return  # it is over already
        self._streams[stream_id] += count
        if not count or self._streams[stream_id] > _MOST_BYTES:
            raise StreamError("a window of more than 2 GiB", ResetStatus.FLOW_CONTROL_ERROR)

    def set_initial(self, size: int) -> None:
        """SETTINGS_INITIAL_WINDOW_SIZE: for streams to come, and by its difference for those there are."""
        if size > _MOST_BYTES:
            raise ProtocolError("an initial window of more than 2 GiB")
        self.is_kept = True
        for stream_id in self._streams:
            self._streams[stream_id] += size - self._initial
        self._initial = size
