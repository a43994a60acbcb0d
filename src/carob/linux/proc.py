"""What /proc tells: who holds which lock, whose child is whose, when a process began.

proc(5) describes the files; the notes on /proc/locks come from the kernel's fs/locks.c and from trying.
"""

from __future__ import annotations

import os

from carob.linux.files import file_system_type
from carob.linux.process import start_ticks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# The inode of the initial PID namespace is fixed (PROC_PID_INIT_INO).
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"

# File systems on which /proc/locks names a file by the very device and inode that stat(2) gives. Not so
# on btrfs (a device number for each subvolume), overlay, NFS and FUSE.
_PLAIN_FILE_SYSTEMS = frozenset({0xEF53, 0x58465342, 0x01021994, 0xF2F52010})  # ext, xfs, tmpfs, f2fs

# The kernel hands out /proc/locks a buffer at a time and goes on by position: a lock released in between
# hides the one at the seam. Reads of different sizes have their seams at different places, so two that
# agree do not miss the same lock.
_READ_BYTES = (4096, 2600, 3300, 1900, 3700, 2300, 2900, 1500)


def locks_are_whole(fd: int) -> bool:
    """Whether /proc/locks shows every lock of the file system of ``fd``, by the numbers of stat(2)."""
    try:
        if os.readlink("/proc/self/ns/pid") != _INITIAL_PID_NAMESPACE:
            return False
        return file_system_type(fd) in _PLAIN_FILE_SYSTEMS
    except OSError:
        return False


def exclusively_locked(
    device: int, among: Callable[[], frozenset[int]] | None = None
) -> tuple[dict[int, int], bool]:
    """The inodes on ``device`` that an exclusive flock is held on, each with the taker's PID.

    The second value says whether the answer is whole: two successive reads agreed, on the inodes
    ``among`` if given (asked for only if they disagree on others). If not, what is in it is locked,
    and what is not in it may be. A PID of 0 or of an ended process means that a
    descendant holds the lock now. Ask ``locks_are_whole`` first. Raises ``OSError``.
    """
    before_raw = b""
    before: dict[int, int] | None = None
    fd = os.open("/proc/locks", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for size in _READ_BYTES:
            raw = _read_in_steps(fd, size)
            if before is not None and raw == before_raw:
                return before, True
            now = parse_locks(raw, device)
            if before is not None and (now == before or _agree(now, before, among)):
                return now, True
            before_raw, before = raw, now
    finally:
        os.close(fd)
    return before or {}, False


def _agree(now: dict[int, int], before: dict[int, int], among: Callable[[], frozenset[int]] | None) -> bool:
    return among is not None and (now.keys() ^ before.keys()).isdisjoint(among())


def _read_in_steps(fd: int, size: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    parts = []
    while part := os.read(fd, size):
        parts.append(part)
    return b"".join(parts)


def parse_locks(raw: bytes, device: int) -> dict[int, int]:
    """The inodes of ``device`` with a granted exclusive flock in the text of /proc/locks, with PIDs.

    A line is ``N: FLOCK  ADVISORY  WRITE pid major:minor:inode start end``; a waiter's has ``->``.
    """
    place = b" %02x:%02x:" % (os.major(device), os.minor(device))
    found = {}
    for line in raw.split(b"\n"):
        if place in line and b" FLOCK " in line and b"->" not in line:
            fields = line.split()
            if fields[3] == b"WRITE":
                found[int(fields[5].rpartition(b":")[2])] = int(fields[4])
    return found


def children_text(pid: int) -> bytes | None:
    """What /proc says of the children of the process' first thread; ``None`` once it is gone.

    ``None`` as well where the kernel was built without CONFIG_PROC_CHILDREN.
    """
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb", buffering=0) as file:
            return file.readall()
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_time_s(pid: int) -> float | None:
    """When the process began, in seconds of the wall clock, to about 0.02 s; ``None`` if there is none."""
    import time

    ticks = start_ticks(pid)
    if ticks is None:
        return None
    boot_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot_s + ticks / os.sysconf("SC_CLK_TCK")
