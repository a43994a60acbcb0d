"""What a pod does when one of its apps ends: pure decisions, no I/O."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

CONTINUE = "continue"
STOP = "stop"
FINISH = "finish"


def failed(end: dict[str, Any]) -> bool:
    """Whether an app's end counts as a failure: anything but exit code 0."""
    return not (end["end"] == "exited" and end["code"] == 0)


def after_end(ends: Iterable[dict[str, Any] | None]) -> str:
    """What an immutable pod does next, given each app's end (None while it lives).

    It finishes when all have ended, and is stopped as soon as one has failed.
    """
    alive = False
    any_failed = False
    for end in ends:
        if end is None:
            alive = True
        elif failed(end):
            any_failed = True
    if not alive:
        return FINISH
    return STOP if any_failed else CONTINUE


def signal_would_be_lost(status: str, number: int) -> bool:
    """Whether a signal to a process that is PID 1 of its own namespace is dropped, unasked for.

    The kernel drops signals that such a process neither catches nor blocks (pid_namespaces(7)). One that is
    ignored on purpose is not meant: who does that may want the grace. ``status`` is the text of
    ``/proc/<pid>/status``.
    """
    masks = {"SigBlk": 0, "SigCgt": 0, "SigIgn": 0}
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key in masks:
            masks[key] = int(value, 16)
    bit = 1 << (number - 1)
    return not (masks["SigBlk"] | masks["SigCgt"] | masks["SigIgn"]) & bit
