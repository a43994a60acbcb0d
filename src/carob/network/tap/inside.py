"""Running a program for a pod from outside: in the pod's user and PID namespaces, with all else the host's.

So it may do in the pod's network what root may there, reaches the host's network and devices as the user, and
ends with the pod, whoever is killed: the kernel ends what is in a PID namespace whose first process is gone.
The apps wait meanwhile, and most have PID namespaces of their own and never see it.
"""

from __future__ import annotations

import os
import select
from _signal import SIGKILL

from carob.errors import CommandFailed
from carob.linux import mount, namespaces
from carob.linux.syscall import SYS_CLOSE_RANGE, SYS_UNSHARE, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CLOSE_RANGE_CLOEXEC = 4
_ALL_SIGNALS = [number for number in range(1, 65) if number not in (9, 19, 32, 33)]
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_MOST_BYTES = 4096


def run(init: int, place: str, work: Callable[[], str]) -> None:
    """Has ``work`` done by a process whose children are the pod's, whose init has the pid ``init``.

    Before that the pod's network namespace is mounted at ``place``, an empty file, where that process and its
    children alone see it: a program that drops its capabilities could not open it below ``/proc``. ``work``
    returns what went wrong, or ``""``. Raises ``CommandFailed`` with it.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _work(init, place, work, writing)
    os.close(writing)
    try:
        said = bytearray()
        while more := os.read(reading, _MOST_BYTES):
            said += more
    finally:
        os.close(reading)
        _, status = os.waitpid(child, 0)
    if said or status:
        raise CommandFailed(said.decode("utf-8", "replace") or f"it ended with status {status}")


def _work(init: int, place: str, work: Callable[[], str], writing: int) -> None:
    try:
        syscall(SYS_CLOSE_RANGE, 3, 0xFFFFFFFF, _CLOSE_RANGE_CLOEXEC)
        spaces = [os.open(f"/proc/{init}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("user", "pid")]
        for space in spaces:
            namespaces.join(space)
        syscall(SYS_UNSHARE, namespaces.CLONE_NEWNS)
        mount.attach(mount.clone_tree(f"/proc/{init}/ns/net"), place)
        trouble = work()
    except BaseException as error:  # noqa: BLE001 - it is told to who made this process
        trouble = f"{type(error).__name__}: {error}"
    try:
        os.write(writing, trouble.encode()[:_MOST_BYTES])
    finally:
        os._exit(0)


class Program:
    """A program at work: its ``pid``, and what it says on its standard streams."""

    __slots__ = ("_said", "pid", "pidfd")

    def __init__(self, argv: list[str], descriptors: tuple[tuple[int, int], ...] = ()) -> None:
        """Starts it with these descriptors besides, (ours, number there)."""
        self._said = os.memfd_create("said", os.MFD_CLOEXEC)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            *[(os.POSIX_SPAWN_DUP2, self._said, number) for number in (1, 2)],
            *[(os.POSIX_SPAWN_DUP2, ours, number) for ours, number in descriptors],
        ]
        self.pid = os.posix_spawn(
            argv[0], argv, _ENVIRONMENT, file_actions=actions, setsigmask=[], setsigdef=_ALL_SIGNALS
        )
        self.pidfd = os.pidfd_open(self.pid)

    def status(self, limit_s: float) -> int:
        """Its exit status (negative: the signal) once it has ended, which it is made to after that time."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(limit_s * 1000):
            os.kill(self.pid, SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def said(self) -> str:
        """The end of what it said, on one line."""
        raw = os.pread(self._said, _MOST_BYTES, 0).decode("utf-8", "replace")
        lines = [line.strip() for line in raw.splitlines() if "syslog" not in line]
        return "; ".join([line for line in lines if line])
