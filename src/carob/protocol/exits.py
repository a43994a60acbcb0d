"""How an app's end is written down: the exit record, version 1.

A record is one JSON object: ``version``, ``app``, ``end`` (``exited``, ``signaled``, ``out-of-memory``
or ``unknown``), ``code`` or ``signal`` or ``reason`` with it, ``started_ns`` and ``finished_ns``
(nanoseconds since 1970, or null), and ``restarts``, how often it was started again. It tells of the
last run. rkt's own file keeps the one number of ``rkt_code``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
EXITED = "exited"
SIGNALED = "signaled"
OUT_OF_MEMORY = "out-of-memory"
UNKNOWN = "unknown"


def of_wait_status(status: int, *, out_of_memory: bool) -> dict[str, Any]:
    """The ``end`` part of a record from what waitpid(2) gave."""
    if status & 0x7F == 0:
        return {"end": EXITED, "code": status >> 8 & 0xFF}
    signal = status & 0x7F
    if out_of_memory and signal == 9:
        return {"end": OUT_OF_MEMORY, "signal": signal}
    return {"end": SIGNALED, "signal": signal}


def unknown(reason: str) -> dict[str, Any]:
    """The ``end`` part where nobody saw how the app ended."""
    return {"end": UNKNOWN, "reason": reason}


def record(
    app: str, end: dict[str, Any], *, started_ns: int | None, finished_ns: int | None, restarts: int = 0
) -> dict[str, Any]:
    """A whole record, ready to be written."""
    times = {"started_ns": started_ns, "finished_ns": finished_ns}
    return {"version": VERSION, "app": app, **end, **times, "restarts": restarts}


def rkt_code(end: dict[str, Any]) -> int | None:
    """The exit code as a shell tells it (128 + n for signal n); None where it is unknown."""
    match end["end"]:
        case "exited":
            return int(end["code"])
        case "signaled" | "out-of-memory":
            return 128 + int(end["signal"])
        case _:
            return None
