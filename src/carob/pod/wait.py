"""Waiting for a pod: what each wait looks at, what wakes it, and the sync and the async way to sleep.

The state is the lock's: whatever woke the wait, it looks again. Nothing blocks on a lock, no thread is
made, and an ended or cancelled wait leaves no descriptor.
"""

from __future__ import annotations

import os
from time import monotonic

from carob.errors import CarobError, Conflict, InvalidInput, NotFound, TimedOut
from carob.pod import layout, process
from carob.pod.alarm import Alarm, LoopSleeper, PollSleeper
from carob.pod.directory import directory_path
from carob.pod.failure import ChildNotReady, failed
from carob.pod.state import STATE_AFTER_UNLOCK, State, directory_of, is_finished
from carob.pod.tree import is_supervisor_ready, read_pod_int, stage1_rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol, TypeVar

    from carob.pod.pod import Pod

    T = TypeVar("T")
    T_co = TypeVar("T_co", covariant=True)

    class Wait(Protocol[T_co]):
        """One thing to wait for."""

        pod: Pod
        purpose: str

        def look(self) -> T_co | None:
            """What was waited for, if it is there; refreshes the pod. Raises where it never will be."""

        def places(self) -> list[tuple[str, str]]:
            """The (directory, name) pairs whose events can mean that it is there now."""

        def has_event(self) -> bool:
            """Whether the events of ``places`` are all there is to wait for, in the state last seen."""


class Finished:
    """That the pod is finished."""

    purpose = "finished"

    def __init__(self, pod: Pod) -> None:
        self.pod = pod

    def look(self) -> State | None:
        """The state, once it is terminal."""
        state = self.pod.refresh()
        return state if is_finished(state) else None

    def places(self) -> list[tuple[str, str]]:
        """The pod's name in the directory that it is in: it will leave it.

        Not of a running pod, which leaves only when its lock is free: its processes are watched. To close an
        inotify instance takes the kernel 8 ms.
        """
        return [] if self.pod.state() is State.RUNNING else _own_name(self.pod)

    def has_event(self) -> bool:
        """Everything but a lock that is let go of."""
        return self.pod.state() not in STATE_AFTER_UNLOCK


class Ready:
    """That the pod's supervisor is ready."""

    purpose = "ready"

    def __init__(self, pod: Pod) -> None:
        self.pod = pod

    def look(self) -> State | None:
        """The state, once the supervisor is ready."""
        state = self.pod.refresh()
        if is_supervisor_ready(self.pod):
            return state
        if is_finished(state):
            raise Conflict(f"pod {self.pod.uuid} is {state} and was never ready")
        return None

    def places(self) -> list[tuple[str, str]]:
        """The pod's name, and the first part that is missing of the way to the ready mark."""
        places = _own_name(self.pod)
        if self.pod.state() is State.RUNNING:
            try:
                mark = layout.supervisor_status(stage1_rootfs(self.pod))
            except CarobError:
                return places
            places.append(_first_missing(self.pod.path(), mark))
        return places

    def has_event(self) -> bool:
        """See ``Finished``."""
        return self.pod.state() not in STATE_AFTER_UNLOCK


class ContainerPid1:
    """The host's PID of process 1 of the pod."""

    purpose = "a process"

    def __init__(self, pod: Pod) -> None:
        self.pod = pod

    def look(self) -> int | None:
        """The number in ``pid``, or the only child of the one in ``ppid``."""
        try:
            return read_pod_int(self.pod, layout.PID)
        except CarobError:
            pass  # as in rkt: whatever is wrong with it, ``ppid`` may help
        try:
            return process.only_child(read_pod_int(self.pod, layout.PPID))
        except (NotFound, ChildNotReady):
            pass
        state = self.pod.refresh()
        if state is not State.RUNNING:
            raise Conflict(f"pod {self.pod.uuid} is {state}, so it has no process 1")
        return None

    def places(self) -> list[tuple[str, str]]:
        """The two files, and the pod's own name."""
        path = self.pod.path()
        return [*_own_name(self.pod), (path, layout.PID), (path, layout.PPID)]

    def has_event(self) -> bool:
        """Not where a child of ``ppid`` is awaited."""
        return False


def _own_name(pod: Pod) -> list[tuple[str, str]]:
    directory = directory_of(pod.state())
    return [] if directory is None else [(directory_path(pod._data_dir, directory), pod.uuid)]


def _first_missing(root: str, name: str) -> tuple[str, str]:
    parent = root
    *middle, last = name.split("/")
    for part in middle:
        path = f"{parent}/{part}"
        if not os.path.isdir(path):
            return parent, part
        parent = path
    return parent, last


def _looks(wait: Wait[T], alarm: Alarm, found: list[T]) -> Iterator[float]:
    """Looks again and again; between looks, yields how long to sleep at most. Ends once ``found`` is."""
    while True:
        result = wait.look()
        if result is not None:
            found.append(result)
            return
        locked = wait.pod.state() in STATE_AFTER_UNLOCK
        # What was not watched a moment ago may just have happened.
        if not alarm.arm(wait.places(), wait.pod if locked else None):
            yield alarm.pause_s(sure=wait.has_event())


def _deadline(timeout_s: float | None) -> float | None:
    if timeout_s is None:
        return None
    if not (timeout_s >= 0 or timeout_s < 0):
        raise InvalidInput("a timeout is a number of seconds, not NaN")
    return monotonic() + timeout_s


def _remaining_s(wait: Wait[T], pause_s: float, deadline: float | None) -> float:
    if deadline is None:
        return pause_s
    left_s = deadline - monotonic()
    if left_s <= 0:
        raise TimedOut(
            f"pod {wait.pod.uuid} is {wait.pod.state()}: {wait.purpose} was waited for in vain",
            hint="give it more time",
        )
    return min(pause_s, left_s)


def run(wait: Wait[T], timeout_s: float | None) -> T:
    """Waits in the calling thread. Raises ``TimedOut`` after ``timeout_s`` (``None``: never)."""
    deadline = _deadline(timeout_s)
    found: list[T] = []
    sleeper = PollSleeper()
    alarm = Alarm(sleeper)
    try:
        for pause_s in _looks(wait, alarm, found):
            sleeper.sleep(_remaining_s(wait, pause_s, deadline))
    except OSError as error:
        if isinstance(error, CarobError):
            raise
        raise failed(error, f"cannot wait for pod {wait.pod.uuid}") from error
    finally:
        alarm.close()
    return found[0]


async def run_async(wait: Wait[T], timeout_s: float | None) -> T:
    """Waits in the running event loop. Raises ``TimedOut`` after ``timeout_s`` (``None``: never)."""
    from asyncio import get_running_loop

    deadline = _deadline(timeout_s)
    found: list[T] = []
    sleeper = LoopSleeper(get_running_loop())
    alarm = Alarm(sleeper)
    try:
        for pause_s in _looks(wait, alarm, found):
            await sleeper.sleep(_remaining_s(wait, pause_s, deadline))
    finally:
        alarm.close()
    return found[0]
