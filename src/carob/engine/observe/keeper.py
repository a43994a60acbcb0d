"""Who keeps a pod, as its directory says, and whether they are still there.

A pod is over when its lock is free **and** its init is gone: the kernel lets go of a dying init's lock
some milliseconds before the last process of its namespace is dead. One among the host's processes has more
to it (``remains``).
"""

from __future__ import annotations

import os
import select
from time import monotonic, sleep

from carob.engine.failures import is_shortage
from carob.engine.observe import remains
from carob.engine.request.inputs import timeout
from carob.errors import TimedOut
from carob.linux import freezer
from carob.linux.files import read_file
from carob.linux.pidfd import open_pidfd
from carob.linux.process import boot_id, start_ticks, state_letter
from carob.protocol import plan as plans
from carob.protocol.compact_json import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.pod import Pod


_DAY_S = 86400.0
_SOON_MS = 20
_AFTER_THAW_S = 2.0
_UNKILLABLE = "a process in uninterruptible sleep cannot be killed before what it waits for is over"


class Keeper:
    """One of the two: ``pid`` in the host's namespace, and when it started (clock ticks since boot)."""

    __slots__ = ("pid", "start_ticks")

    def __init__(self, pid: int, start_ticks: int) -> None:
        self.pid = pid
        self.start_ticks = start_ticks

    def open(self) -> int | None:
        """A pidfd of the very process that was written down; ``None`` where it is gone."""
        pidfd = open_pidfd(self.pid)
        if pidfd is None:
            return None
        try:
            it_is = start_ticks(self.pid) == self.start_ticks
        except BaseException:
            os.close(pidfd)
            raise
        if not it_is:
            os.close(pidfd)
            return None
        return pidfd

    def is_alive(self) -> bool:
        """Whether the process is there and has not ended."""
        return state_letter(self.pid) not in ("", "Z", "X") and start_ticks(self.pid) == self.start_ticks

    def waits_for_disk(self) -> bool:
        """Whether it sleeps where no signal reaches it, as in fsync(2)."""
        return state_letter(self.pid) == "D" and start_ticks(self.pid) == self.start_ticks

    def is_stopped(self) -> bool:
        """Whether somebody stopped it (SIGSTOP, or a debugger): it then answers nobody."""
        return state_letter(self.pid) in ("T", "t") and start_ticks(self.pid) == self.start_ticks


def keepers(pod: Pod) -> tuple[Keeper | None, Keeper | None]:
    """(init, monitor) as ``carob/supervisor.json`` says; (None, None) where they cannot be alive.

    That is: no such file, one that cannot be read, or one of another boot. Raises ``OSError`` where files
    could not be looked at for want of descriptors or memory: nobody may be taken for dead because of that.
    """
    try:
        document = loads(read_file(plans.IDENTITY, dir_fd=pod.fd()))
        if document["boot_id"] != boot_id():
            return None, None
        init, monitor = _keeper(document["init"]), _keeper(document["monitor"])
        is_init = _is_first_of_a_namespace(init.pid) or _is_in_group_of(pod, init.pid)
        return (init if is_init else None), monitor
    except (OSError, ValueError, KeyError, TypeError) as error:
        if is_shortage(error):
            raise
        return None, None


def _is_first_of_a_namespace(pid: int) -> bool:
    """Whether the process is PID 1 of a namespace below this one, as every init of carob's is.

    What the file says is believed of no other process, whoever wrote it: inits are killed.
    """
    try:
        status = read_file(f"/proc/{pid}/status")
    except OSError as error:
        if is_shortage(error):
            raise
        return False
    for line in status.splitlines():
        if line.startswith(b"NSpid:"):
            pids = line.split()[1:]
            return len(pids) > 1 and pids[-1] == b"1"
    return True  # a kernel without NSpid (before 4.1)


def _is_in_group_of(pod: Pod, pid: int) -> bool:
    """Whether the process is in the pod's control group, as init is of a pod among the host's processes."""
    try:
        groups = read_file(f"/proc/{pid}/cgroup").decode("utf-8", "replace").splitlines()
    except OSError as error:
        if is_shortage(error):
            raise
        return False
    return any(remains.is_own(pod, line.split(":", 2)[2]) for line in groups)


def _keeper(document: dict[str, Any]) -> Keeper:
    return Keeper(int(document["pid"]), int(document["start_ticks"]))


def init_is_alive(pod: Pod) -> bool:
    """Whether anything of the pod may still run, whatever its lock says."""
    init, _ = keepers(pod)
    return (init is not None and init.is_alive()) or bool(remains.left(pod))


def thaw(pod: Pod) -> bool:
    """Lets the paused apps of a pod go on, whose init is dead or dying: on cgroups v1 they cannot die before.

    Whether there was one.
    """
    try:
        group = plans.read(read_file(plans.PLAN, dir_fd=pod.fd()))["cgroup"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(group, str) and remains.is_own(pod, group) and freezer.thaw_all(group)


def is_over(pod: Pod) -> bool:
    """Whether nothing is left running of a pod whose lock is free; what is paused of it, or survived it among
    the host's processes, ends now.
    """
    if not init_is_alive(pod):
        return True
    remains.end(pod, Deadline(_AFTER_THAW_S))
    if thaw(pod):
        try:
            wait_init_gone(pod, timeout_s=_AFTER_THAW_S)
        except TimedOut:
            return False
    return not init_is_alive(pod)


def wait_init_gone(pod: Pod, *, timeout_s: float | None) -> None:
    """Returns when nothing of the pod is left; ``TimedOut`` where that does not come.

    For an init that is dying: what is paused of the pod is let go on, to die.
    """
    deadline = Deadline(timeout_s)
    _wait_namespace_empty(pod, deadline, timeout_s)
    for pause_s in remains.pauses_until_none(pod):
        left_s = deadline.left_s()
        if left_s == 0:
            raise _still_there(pod, timeout_s)
        sleep(pause_s if left_s is None else min(pause_s, left_s))


def _still_there(pod: Pod, timeout_s: float | None) -> TimedOut:
    return TimedOut(f"pod {pod.uuid}: its processes are still there after {timeout_s} s", hint=_UNKILLABLE)


def _wait_namespace_empty(pod: Pod, deadline: Deadline, timeout_s: float | None) -> None:
    init, _ = keepers(pod)
    pidfd = init.open() if init is not None else None
    if pidfd is None:
        return
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        left_ms = deadline.poll_ms()
        if poll.poll(_SOON_MS if left_ms is None else min(_SOON_MS, left_ms)):
            return
        thaw(pod)
        while not poll.poll(deadline.poll_ms()):
            if deadline.left_s() == 0:
                raise _still_there(pod, timeout_s)
    finally:
        os.close(pidfd)


class Deadline:
    """A moment up to which a caller waits; ``None`` waits without end."""

    __slots__ = ("_at",)

    def __init__(self, timeout_s: float | None) -> None:
        """Raises ``InvalidInput`` for what is no number of seconds."""
        timeout_s = timeout(timeout_s)
        self._at = None if timeout_s is None else monotonic() + timeout_s

    def left_s(self) -> float | None:
        """The seconds left, never negative; ``None`` where there is no end."""
        return None if self._at is None else max(0.0, self._at - monotonic())

    def poll_ms(self) -> int | None:
        """The same for poll(2), which takes no more than 24 days: at most a day, to be asked for again."""
        left_s = self.left_s()
        if left_s is None:
            return None
        return int(min(left_s, _DAY_S) * 1000 + 0.999)
