"""Who keeps a pod, told beyond doubt: (pid, start time, boot id), and how the keeper ended."""

from __future__ import annotations

import os
import time

from carob.linux.files import read_file, replace_file
from carob.linux.process import boot_id, start_ticks
from carob.protocol import plan as plans
from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1


def write(pod: int, *, init: int, monitor: int) -> None:
    """Writes ``carob/supervisor.json``, whole or not at all. After a power loss nobody needs it."""
    document: dict[str, Any] = {
        "version": VERSION,
        "boot_id": boot_id(),
        "init": {"pid": init, "start_ticks": start_ticks(init)},
        "monitor": {"pid": monitor, "start_ticks": start_ticks(monitor)},
    }
    _write(pod, plans.IDENTITY, document)


def write_end(pod: int, outcome: str, reason: str) -> None:
    """Writes ``carob/end.json``: how the pod as a whole ended, and when. Whole or not at all."""
    document: dict[str, Any] = {
        "version": VERSION,
        "outcome": outcome,
        "reason": reason,
        "ended_ns": time.time_ns(),
    }
    _write(pod, plans.END, document)


def write_end_if_missing(pod: int, status: int) -> None:
    """The monitor's word on the end, where init could not say it itself."""
    try:
        os.stat(plans.END, dir_fd=pod)
    except FileNotFoundError:
        if status & 0x7F:
            outcome, reason = "killed", f"init was killed by signal {status & 0x7F}"
        else:
            outcome, reason = "failed", f"init ended with status {status >> 8}"
        write_end(pod, outcome, reason)


def exit_status(pod: int) -> int:
    """The monitor's own, for a service manager: 0 for a pod that ended well or was stopped, else 1."""
    try:
        outcome = loads(read_file(plans.END, dir_fd=pod))["outcome"]
    except (OSError, ValueError, KeyError):  # a full disk
        return 1
    return 0 if outcome in ("finished", "stopped") else 1


def _write(pod: int, name: str, document: dict[str, Any]) -> None:
    replace_file(name, (dumps(document) + "\n").encode(), dir_fd=pod)
