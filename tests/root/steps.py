"""Stopping a program at each of its steps: what it does to the outside is told by Python's audit events.

A step is an event before which the world looks different from after it: a directory or a link made, a
file opened for writing, a lock taken, a message sent, a program started (`sys.addaudithook`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator

from carob import CarobError
from tests.root import host_view

_EVENTS = frozenset(
    (
        "fcntl.flock",
        "os.chmod",
        "os.chown",
        "os.fork",
        "os.kill",
        "os.link",
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "signal.pidfd_send_signal",
        "socket.bind",
        "socket.connect",
        "socket.sendmsg",
    )
)
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_DIRECTORY
REFUSED = 3


def is_step(event: str, arguments: tuple[object, ...]) -> bool:
    """Say whether the audit event is one of those that count."""
    if event == "open":
        flags = arguments[2]
        return (
            isinstance(flags, int) and bool(flags & _CHANGING) and not str(arguments[0]).startswith("/proc/")
        )
    return event in _EVENTS


def before_step(number: int, act: Callable[[], None]) -> None:
    """Have this process do `act` right before its step of that number, from now on."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if seen < number and is_step(event, arguments):
            seen += 1
            if seen == number:
                act()

    sys.addaudithook(hook)


def die() -> None:
    """End as if the machine had taken the process away."""
    os.kill(os.getpid(), signal.SIGKILL)


def in_child(work: Callable[[], object], number: int, act: Callable[[], None] = die) -> bool:
    """Do `work` in a forked child that does `act` before its step `number`; say whether that killed it.

    An error of carob's is an outcome of the work; any other fails the test.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            before_step(number, act)
            work()
            status = 0
        except CarobError:
            status = REFUSED
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) in (0, REFUSED)
    return False


def killed_at_every_step(work: Callable[[], object], at_least: int) -> Iterator[int]:
    """Do `work` over and over, killed one step later each time, and yield after each; at last it is whole."""
    number = 0
    while True:
        number += 1
        killed = in_child(work, number)
        yield number
        if not killed:
            break
    assert number > at_least, "hardly any step was seen: are the events still the right ones?"


def supervisors_settle(data_dir: str) -> None:
    """Wait until no supervisor is left below `data_dir`."""
    host_view.eventually("all supervisors end", lambda: not host_view.supervisors_of(data_dir))
