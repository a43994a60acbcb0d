"""What a process has of whoever started it, beside files and environment, put back to a machine's defaults.

Resource limits, priorities, processors and more pass through posix_spawn(3) and execve(2) to all descendants:
a pod would run otherwise for somebody who was niced, pinned or limited himself. As systemd-nspawn does for
rkt, limits become those that the kernel gives the first process of a machine. What may not be changed (a hard
limit without CAP_SYS_RESOURCE, a niceness without CAP_SYS_NICE) stays.
"""

from __future__ import annotations

import os

from carob.linux import syscall as _sys
from carob.linux.files import read_file

NOFILE = 7
_NPROC = 6
_SIGPENDING = 11
_INFINITY = (1 << 64) - 1
_COUNT = 16
# By number (getrlimit(2), asm-generic/resource.h), soft and hard; of the rest there is no end.
_LIMITS = {
    3: (8 << 20, _INFINITY),  # stack
    4: (0, _INFINITY),  # core files
    NOFILE: (1024, 524288),  # select(2) knows no descriptor above; programs that know better raise it
    8: (8 << 20, 8 << 20),  # locked memory
    12: (819200, 819200),  # message queues
    13: (0, 0),  # nice
    14: (0, 0),  # real-time priority
}
_IOPRIO_WHO_PROCESS = 1
_PR_SET_TIMERSLACK = 29
_PR_SET_THP_DISABLE = 41
_CALLS: tuple[tuple[int | bytes | None, ...], ...] = (
    (_sys.SYS_SCHED_SETSCHEDULER, 0, 0, bytes(4)),  # SCHED_OTHER
    (_sys.SYS_SETPRIORITY, 0, 0, 0),
    (_sys.SYS_IOPRIO_SET, _IOPRIO_WHO_PROCESS, 0, 0),
    (_sys.SYS_SET_MEMPOLICY, 0, None, 0),
    (_sys.SYS_PRCTL, _PR_SET_TIMERSLACK, 50_000),  # ns
    (_sys.SYS_PRCTL, _PR_SET_THP_DISABLE, 0, 0, 0, 0),
    (_sys.SYS_PERSONALITY, 0),
)


def leave() -> None:
    """Gives this process, and what it starts from now on, the defaults. Needs the host's /proc."""
    for number, *arguments in _CALLS:
        try:
            _sys.syscall(number, *arguments)  # type: ignore[arg-type]
        except OSError:
            continue
    for reset in (_reset_limits, _reset_processors, _reset_oom_score):
        try:
            reset()
        except OSError:
            continue


def limit(number: int) -> tuple[int, int]:
    """A resource limit of this process, soft and hard (prlimit(2))."""
    memory = bytearray(16)
    _sys.syscall(_sys.SYS_PRLIMIT64, 0, number, None, _sys.address_of(memory))
    return int.from_bytes(memory[:8], "little"), int.from_bytes(memory[8:], "little")


def set_limit(number: int, soft: int, hard: int) -> None:
    """Sets a resource limit of this process (prlimit(2))."""
    _sys.syscall(_sys.SYS_PRLIMIT64, 0, number, _sys.pointer_struct((soft, hard)), None)


def _reset_limits() -> None:
    threads = int(read_file("/proc/sys/kernel/threads-max")) // 2  # as the kernel reckons
    for number in range(_COUNT):
        default = threads if number in (_NPROC, _SIGPENDING) else _INFINITY
        soft, hard = _LIMITS.get(number, (default, default))
        now = limit(number)
        if now == (soft, hard):
            continue
        try:
            set_limit(number, soft, hard)
        except OSError:
            hard = min(hard, now[1])
            set_limit(number, min(soft, hard), hard)


def _reset_processors() -> None:
    """Those of the machine's first process: it may have been kept off some for all."""
    for line in read_file("/proc/1/status").splitlines():
        if line.startswith(b"Cpus_allowed:"):
            mask = int(line.split()[1].replace(b",", b""), 16)
            raw = mask.to_bytes((mask.bit_length() + 63) // 64 * 8, "little")
            _sys.syscall(_sys.SYS_SCHED_SETAFFINITY, 0, len(raw), raw)


def _reset_oom_score() -> None:
    descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"0")
    finally:
        os.close(descriptor)
