"""Whether what the runtime began ever executes its program: the kernel knows, the runtime does not tell.

crun and runc end before the process that they made calls execve(2). Where that fails (no such interpreter,
another machine's program), the process writes why into its own output, and exits with 1: nobody could tell
that from a program that does the same. But a process has ``PF_FORKNOEXEC`` until it has executed something,
also once it has ended, for as long as it is not reaped (include/linux/sched.h; field 9 of proc_pid_stat(5)).
"""

from __future__ import annotations

import os
import time

from carob.linux.files import read_file
from carob.runtime import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NEVER_EXECUTED = 1 << 16
"""In a status beside what waitpid(2) gives: it exited, not with 0, and never executed its program."""

_FORKED_ONLY = 0x40  # PF_FORKNOEXEC
_FIRST_LOOK_S = 0.001
_LONGEST_PAUSE_S = 0.1


def has_executed(pid: int) -> bool:
    """Whether the process, one that the runtime made, has executed its program; also where it is gone."""
    try:
        fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return not int(fields[6]) & _FORKED_ONLY
    except OSError:
        return True


def reap() -> tuple[int, int] | None:
    """A child that has ended, and its status; ``None`` where none has. ``ChildProcessError`` without any."""
    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None:
        return None
    pid, mark = found.si_pid, 0
    if found.si_code == os.CLD_EXITED and found.si_status != 0 and not has_executed(pid):
        mark = NEVER_EXECUTED
    return pid, os.waitpid(pid, 0)[1] | mark


def failure(words: bytes) -> tuple[int, str]:
    """What became of a process that never executed its program: the code, and the runtime's ``words``."""
    code, message = command.failure(words.decode("utf-8", "replace"))
    if not words:
        message = "its program cannot be executed"
    return (command.NOT_EXECUTABLE if code == command.FAILED else code), message


class Beginnings:
    """Processes that are about to execute their programs. ``look_at`` is when to look (monotonic clock, s).

    Most have by the time that the runtime has ended. The others take a moment, or longer where a file system
    is slow.
    """

    __slots__ = ("_pause_s", "_waiting", "look_at")

    def __init__(self) -> None:
        self._waiting: dict[int, Callable[[], None]] = {}
        self._pause_s = 0.0
        self.look_at: float | None = None

    def add(self, pid: int, then: Callable[[], None]) -> None:
        """Has ``then`` called as soon as the process has executed its program, unless it ends before."""
        self._waiting[pid] = then
        self._pause_s = _FIRST_LOOK_S
        self.look_at = time.monotonic() + self._pause_s

    def ended(self, pid: int) -> None:
        """The process has ended: what follows from that is seen to elsewhere."""
        self._waiting.pop(pid, None)

    def look_when_due(self, now: float) -> None:
        """Calls for those that have executed their programs meanwhile."""
        if self.look_at is None or now < self.look_at:
            return
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        self.look_at = now + self._pause_s if self._waiting else None
        for pid in [one for one in self._waiting if has_executed(one)]:
            then = self._waiting.pop(pid, None)
            if then is not None:
                then()
