"""What a service tells of itself: one JSON object a line on standard error.

A reader that stalls must not stall the service: what the pipe does not take at once is dropped and counted.
"""

from __future__ import annotations

import json
import os
import select
from datetime import UTC, datetime

from carob.errors import Cancelled, CarobError

_STDERR = 2
_LINE_BYTES = 4096
"""What a pipe that is ready takes without waiting: PIPE_BUF (pipe(7))."""
_TEXT_LETTERS = 500
_TRACEBACK_LETTERS = 2000


class Journal:
    """``time`` (RFC 3339, UTC), ``level`` and ``event`` are in every line; the rest belongs to the event."""

    __slots__ = ("_dropped", "_ready", "log_calls")

    def __init__(self, *, log_calls: bool) -> None:
        self.log_calls = log_calls
        self._dropped = 0
        self._ready = select.poll()
        self._ready.register(_STDERR, select.POLLOUT)

    def info(self, event: str, **fields: object) -> None:
        """Something that is as it should be."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something that somebody may want to know of."""
        self._write("warning", event, fields)

    def call(self, method: str, status: str, seconds: float, peer: str, error: CarobError | None) -> None:
        """A call that has ended: what failed is told of always, and not that a caller has gone."""
        went_well = error is None or isinstance(error, Cancelled)
        if went_well and not self.log_calls:
            return
        fields = {"method": method, "status": status, "ms": round(seconds * 1000, 3), "peer": peer}
        if error is None or went_well:
            self.info("call", **fields)
        else:
            self.warning("call", **fields, kind=error.kind, message=error.message)

    def library(self, name: str, message: str, traceback: str) -> None:
        """What a library has to say."""
        self._write(
            "warning", "library", {"logger": name, "message": message}, traceback[-_TRACEBACK_LETTERS:]
        )

    def unexpected(self, method: str, traceback: str) -> None:
        """Where carob itself failed: the end of it."""
        self._write("warning", "unexpected", {"method": method}, traceback[-_TRACEBACK_LETTERS:])

    def _write(self, level: str, event: str, fields: dict[str, object], traceback: str = "") -> None:
        line: dict[str, object] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "event": event,
        }
        if self._dropped:
            line["dropped_lines"] = self._dropped
        clipped = {
            name: value[:_TEXT_LETTERS] if isinstance(value, str) else value for name, value in fields.items()
        }
        if traceback:
            clipped["traceback"] = traceback
        raw = _encoded({**line, **clipped})
        if len(raw) > _LINE_BYTES:
            raw = _encoded({**line, "clipped": True})
        try:
            if self._ready.poll(0):
                os.write(_STDERR, raw)
                self._dropped = 0
            else:
                self._dropped += 1
        except OSError:
            return  # nobody reads it; the service goes on


def _encoded(line: dict[str, object]) -> bytes:
    return json.dumps(line, default=str).encode() + b"\n"
