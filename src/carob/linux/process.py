"""Which process it is, and what it does: ``/proc/<pid>/stat`` (proc_pid_stat(5)), and the boot it belongs to.

A number is given to another process sooner or later. With its start, and the boot's id, it is one for good.
"""

from __future__ import annotations

from carob.linux.files import read_file


def stat_fields(pid: int) -> list[bytes]:
    """The fields of the file from the state (the third) on; none where there is no such process."""
    try:
        return read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def start_ticks(pid: int) -> int | None:
    """When the process began, in clock ticks after boot; ``None`` where there is none."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else None


def state_letter(pid: int) -> str:
    """What it does: R, S, D (waits, and not for signals), T or t (stopped), Z; ``""`` where there is none."""
    fields = stat_fields(pid)
    return fields[0].decode() if fields else ""


def boot_id() -> str:
    """What tells this boot from all others (random(4))."""
    return read_file("/proc/sys/kernel/random/boot_id").decode().strip()
