"""Runs a supervisor that dies before a step of its own: dying_supervisor.py WHICH NUMBER PROGRAM ARGUMENT…

WHICH is ``monitor`` or ``init``, NUMBER counts steps (`tests.root.steps`) of that process from its birth. In
its PID namespace init is out of reach of its own SIGKILL, so it dies by a fault.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_EVENTS = frozenset(
    (
        "fcntl.flock",
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "socket.bind",
        "socket.sendmsg",
        "os.scandir",
        "os.chdir",
    )
)
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_DIRECTORY


def main() -> None:
    which, number, program = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    sys.argv = ["-c", *sys.argv[4:]]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    roles = ["init", "monitor"]
    role = "first"
    seen = 0

    def born() -> None:
        nonlocal role, seen
        role, seen = roles.pop(), 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if role != which or not _is_step(event, arguments):
            return
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
            ctypes.string_at(0)

    os.register_at_fork(after_in_child=born)
    sys.addaudithook(hook)
    exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})


def _is_step(event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        return isinstance(arguments[2], int) and bool(arguments[2] & _CHANGING)
    return event in _EVENTS


main()
