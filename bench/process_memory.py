"""The memory of a command and of all that it starts, while it runs."""

from __future__ import annotations

import os
import time

_INTERVAL_S = 0.005


def wait(pids: list[int]) -> tuple[list[int], int]:
    """Waits for children; their exit statuses, and the peak in bytes.

    That is the largest sum, over all processes below this one, of their resident sets, looked at every 5 ms;
    or what the kernel noted as the peak of a single child, if that is more. Pages that several processes
    share are counted in each.
    """
    statuses: dict[int, int] = {}
    peak_bytes = 0
    while len(statuses) < len(pids):
        peak_bytes = max(peak_bytes, _resident_bytes(_below(os.getpid())))
        for pid in pids:
            if pid in statuses:
                continue
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                statuses[pid] = os.waitstatus_to_exitcode(status)
                peak_bytes = max(peak_bytes, usage.ru_maxrss * 1024)
        time.sleep(_INTERVAL_S)
    return [statuses[pid] for pid in pids], peak_bytes


def _below(top: int) -> list[int]:
    """All descendants of a process."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (parent := _parent(int(name))) is not None:
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = [top]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _resident_bytes(pids: list[int]) -> int:
    pages = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                pages += int(file.read().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")
