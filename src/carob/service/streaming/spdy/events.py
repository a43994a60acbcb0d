"""What the peer did, for who serves it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


class StreamOpened:
    """A new stream, to be replied to or reset. ``has_ended``: nothing will come on it."""

    __slots__ = ("has_ended", "headers", "stream_id")

    def __init__(self, stream_id: int, headers: dict[str, str], *, has_ended: bool) -> None:
        self.stream_id = stream_id
        self.headers = headers
        self.has_ended = has_ended


class DataReceived:
    """Bytes of a stream; ``acknowledge`` them once they are used up. ``has_ended``: the last ones."""

    __slots__ = ("data", "has_ended", "stream_id")

    def __init__(self, stream_id: int, data: bytes, *, has_ended: bool) -> None:
        self.stream_id = stream_id
        self.data = data
        self.has_ended = has_ended


class StreamReset:
    """The stream is over, both ways. ``status`` is one of ``ResetStatus``, or another number."""

    __slots__ = ("status", "stream_id")

    def __init__(self, stream_id: int, status: int) -> None:
        self.stream_id = stream_id
        self.status = status


class WentAway:
    """The peer will open no more streams."""

    __slots__ = ("status",)

    def __init__(self, status: int) -> None:
        self.status = status


Event: TypeAlias = "StreamOpened | DataReceived | StreamReset | WentAway"
