"""What a peer can do wrong, and the numbers that say so on the wire (SPDY/3.1, 2.6.3 and 2.6.6)."""

from __future__ import annotations

from enum import IntEnum


class ResetStatus(IntEnum):
    """Why a stream ends at once."""

    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    UNSUPPORTED_VERSION = 4
    CANCEL = 5
    INTERNAL_ERROR = 6
    FLOW_CONTROL_ERROR = 7
    STREAM_IN_USE = 8
    STREAM_ALREADY_CLOSED = 9
    FRAME_TOO_LARGE = 11


class GoAwayStatus(IntEnum):
    """Why a connection ends."""

    OK = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2


class ProtocolError(Exception):
    """The peer broke the protocol beyond repair: send what ``take`` still gives, and close."""


class StreamError(Exception):
    """One stream is broken; the others are not."""

    def __init__(self, message: str, status: ResetStatus) -> None:
        super().__init__(message)
        self.status = status
