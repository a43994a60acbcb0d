"""Who keeps a pod, told beyond doubt: (pid, start time, boot id), and how the keeper ended."""

from __future__ import annotations

import os
import time

from carob.protocol import plan as plans
from carob.protocol.compact_json import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc_pid_stat(5), field 22)."""
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        raw = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    return int(raw[raw.rindex(b")") + 2 :].split()[19])


def boot_id() -> str:
    """This boot's id (random(4))."""
    descriptor = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 64).decode().strip()
    finally:
        os.close(descriptor)


def write(pod: int, *, init: int, monitor: int) -> None:
    """Writes ``carob/supervisor.json``, whole or not at all. After a power loss nobody needs it."""
    document: dict[str, Any] = {
        "version": VERSION,
        "boot_id": boot_id(),
        "init": {"pid": init, "start_ticks": start_ticks(init)},
        "monitor": {"pid": monitor, "start_ticks": start_ticks(monitor)},
    }
    replace(pod, plans.IDENTITY, dumps(document) + "\n", durable=False)


def replace(pod: int, name: str, text: str, *, durable: bool) -> None:
    """Writes a file of the pod by a temporary one and a rename; ``durable`` adds both syncs."""
    temporary = f"{name}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o640, dir_fd=pod)
    try:
        os.write(descriptor, text.encode())
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, name, src_dir_fd=pod, dst_dir_fd=pod)
    if durable:
        sync_directory(pod, os.path.dirname(name))


def sync_directory(pod: int, name: str) -> None:
    """Makes a rename in a directory of the pod last."""
    directory = os.open(name or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=pod)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def end_document(outcome: str, reason: str) -> str:
    """``carob/end.json``: how the pod as a whole ended, and when."""
    document: dict[str, Any] = {
        "version": VERSION,
        "outcome": outcome,
        "reason": reason,
        "ended_ns": time.time_ns(),
    }
    return dumps(document) + "\n"


def write_end_if_missing(pod: int, status: int) -> None:
    """The monitor's word on the end, where init could not say it itself."""
    try:
        os.stat(plans.END, dir_fd=pod)
    except FileNotFoundError:
        if status & 0x7F:
            outcome, reason = "killed", f"init was killed by signal {status & 0x7F}"
        else:
            outcome, reason = "failed", f"init ended with status {status >> 8}"
        replace(pod, plans.END, end_document(outcome, reason), durable=False)
