"""How an app ended: a closed type for ``match``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Exited:
    """The app's first process ended by itself, with this exit code (0 to 255)."""

    __slots__ = ("code",)
    __match_args__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code

    def __repr__(self) -> str:
        return f"Exited(code={self.code})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exited) and other.code == self.code

    def __hash__(self) -> int:
        return hash((Exited, self.code))


class Signaled:
    """The app's first process was killed by this signal."""

    __slots__ = ("signal",)
    __match_args__ = ("signal",)

    def __init__(self, signal: int) -> None:
        self.signal = signal

    def __repr__(self) -> str:
        return f"Signaled(signal={self.signal})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signaled) and other.signal == self.signal

    def __hash__(self) -> int:
        return hash((Signaled, self.signal))


class OutOfMemory:
    """The kernel killed the app's first process for want of memory."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "OutOfMemory()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OutOfMemory)

    def __hash__(self) -> int:
        return hash(OutOfMemory)


class Unknown:
    """Nobody saw how the app ended; ``reason`` says why not. Never taken for success."""

    __slots__ = ("reason",)
    __match_args__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"Unknown(reason={self.reason!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and other.reason == self.reason

    def __hash__(self) -> int:
        return hash((Unknown, self.reason))


AppEnd = Exited | Signaled | OutOfMemory | Unknown
"""Every end there is: ``match`` on it, with ``assert_never`` for the rest."""


def from_record(record: Mapping[str, Any]) -> AppEnd:
    """The end that an exit record tells (``carob.protocol.exits``)."""
    match record:
        case {"end": "exited", "code": int(code)}:
            return Exited(code)
        case {"end": "signaled", "signal": int(signal)}:
            return Signaled(signal)
        case {"end": "out-of-memory"}:
            return OutOfMemory()
        case {"end": "unknown", "reason": str(reason)}:
            return Unknown(reason)
        case _:
            return Unknown("the exit record cannot be read")


def from_view(view: Mapping[str, Any] | None) -> AppEnd:
    """The end that a pod's document tells (``carob.engine.observe.views``)."""
    if view is None:
        return Unknown("the app was never started")
    return from_record({**view, "end": view.get("kind")})


def shell_code(end: AppEnd) -> int:
    """The exit status that a shell would show; 125 where the end is unknown."""
    match end:
        case Exited(code):
            return code
        case Signaled(signal):
            return 128 + signal
        case OutOfMemory():
            return 137
        case Unknown():
            return 125
