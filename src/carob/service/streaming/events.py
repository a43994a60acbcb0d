"""What the client of a session did, the same for every protocol."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


class Began:
    """An exec or attach has all the streams that it needs."""

    __slots__ = ()


class Input:
    """Bytes for the process's input."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class InputEnded:
    """Nothing more will come for the input."""

    __slots__ = ()


class Resized:
    """The client's terminal has this size now."""

    __slots__ = ("columns", "rows")

    def __init__(self, rows: int, columns: int) -> None:
        self.rows = rows
        self.columns = columns


class Left:
    """The client said goodbye."""

    __slots__ = ()


class ForwardBegan:
    """One more connection to a port of the pod; ``key`` names it from now on."""

    __slots__ = ("key", "port")

    def __init__(self, key: int, port: int) -> None:
        self.key = key
        self.port = port


class ForwardInput:
    """Bytes for such a connection."""

    __slots__ = ("data", "key")

    def __init__(self, key: int, data: bytes) -> None:
        self.key = key
        self.data = data


class ForwardInputEnded:
    """Nothing more will come for it."""

    __slots__ = ("key",)

    def __init__(self, key: int) -> None:
        self.key = key


class ForwardDropped:
    """The client gave it up, both ways."""

    __slots__ = ("key",)

    def __init__(self, key: int) -> None:
        self.key = key


CommandEvent: TypeAlias = "Began | Input | InputEnded | Resized | Left"
ForwardEvent: TypeAlias = "ForwardBegan | ForwardInput | ForwardInputEnded | ForwardDropped | Left"
