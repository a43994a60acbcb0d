"""One thing that was looked at."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OK = "ok"
LACKING = "lacking"
FAILED = "failed"


class Check:
    """``topic`` and ``name`` say what was looked at, ``found`` what there is, ``mend`` what would help.

    ``verdict`` is ``ok``; ``lacking``: pods run, and something that some ask for cannot be had; or
    ``failed``: no pod runs before this is mended.
    """

    __slots__ = ("found", "mend", "name", "topic", "verdict")

    def __init__(self, topic: str, name: str, verdict: str, found: str, mend: str = "") -> None:
        self.topic = topic
        self.name = name
        self.verdict = verdict
        self.found = found
        self.mend = "" if verdict == OK else mend

    def __repr__(self) -> str:
        return f"Check({self.topic!r}, {self.name!r}, {self.verdict!r}, {self.found!r})"


def needed(topic: str, name: str, *, there: bool, found: str, mend: str) -> Check:
    """What no pod can do without."""
    return Check(topic, name, OK if there else FAILED, found, mend)


def wanted(topic: str, name: str, *, there: bool, found: str, mend: str) -> Check:
    """What some ask for."""
    return Check(topic, name, OK if there else LACKING, found, mend)


def document(check: Check) -> dict[str, Any]:
    """The check as a plain document."""
    return {name: getattr(check, name) for name in ("topic", "name", "verdict", "found", "mend")}
