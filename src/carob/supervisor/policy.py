"""What a pod does when one of its apps ends: pure decisions, no I/O."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def failed(end: dict[str, Any]) -> bool:
    """Whether an app's end counts as a failure: anything but exit code 0."""
    return not (end["end"] == "exited" and end["code"] == 0)


def must_stop(ends: Iterable[dict[str, Any] | None]) -> bool:
    """Whether an immutable pod is ended now, given each app's end (None while it lives).

    It is as soon as one has failed, where another is left to be ended.
    """
    known = list(ends)
    return None in known and any(end is not None and failed(end) for end in known)


def signal_would_be_lost(status: bytes, number: int) -> bool:
    """Whether a signal to a process that is PID 1 of its own namespace is dropped, unasked for.

    The kernel drops signals that such a process neither catches nor blocks (pid_namespaces(7)). One that is
    ignored on purpose is not meant: who does that may want the grace. ``status`` is what
    ``/proc/<pid>/status`` holds.
    """
    masks = {b"SigBlk": 0, b"SigCgt": 0, b"SigIgn": 0}
    for line in status.splitlines():
        key, _, value = line.partition(b":")
        if key in masks:
            masks[key] = int(value, 16)
    bit = 1 << (number - 1)
    return not (masks[b"SigBlk"] | masks[b"SigCgt"] | masks[b"SigIgn"]) & bit
