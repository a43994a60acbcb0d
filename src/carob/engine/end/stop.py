"""Ending pods, waiting for their provable end, and taking them away."""

from __future__ import annotations

import os
from time import sleep

from carob.engine.end import networks as network_cleanup
from carob.engine.failures import is_shortage
from carob.engine.observe import remains, tombstone
from carob.engine.observe.keeper import Deadline, is_over, keepers, wait_init_gone
from carob.engine.observe.plan import has_networks, read_plan
from carob.engine.prepare.owners import release
from carob.engine.request import inputs
from carob.errors import CarobError, Conflict, LostRace, TimedOut, Unavailable
from carob.linux import cgroup
from carob.linux.files import read_file
from carob.linux.pidfd import send_signal
from carob.pod import State
from carob.protocol import plan as plans
from carob.protocol.life import LAST_GRACE_S
from carob.supervisor import client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.observe.keeper import Keeper
    from carob.pod import Pod

_SIGKILL = 9
_AFTER_GRACE_S = 5.0
_AFTER_KILL_S = 10.0
_DETACHING_S = 20.0
_SLOW_S = 60.0
_PAUSE_S = 0.002


def wait_over(pod: Pod, *, timeout_s: float | None, is_ending: bool = False) -> State:
    """Waits until the pod has ended and nothing of it is left running; returns its state.

    ``is_ending`` ends what is left after it (``remains``).
    """
    deadline = Deadline(timeout_s)
    state = pod.wait_finished(timeout_s=deadline.left_s())
    if state is not State.GONE:
        if is_ending:
            remains.end(pod, deadline)
        wait_init_gone(pod, timeout_s=deadline.left_s())
    return state


def stop(pod: Pod, *, grace_s: float | None, timeout_s: float | None) -> None:
    """Asks the apps to end and returns when the pod's end is provable; an ended pod is fine.

    After the grace init sends SIGKILL. Where init does not answer it is killed itself. Raises ``Conflict``
    for a pod that does not run yet, ``TimedOut`` where processes cannot be killed.
    """
    patience_s = ask_to_stop(pod, grace_s=grace_s, timeout_s=timeout_s)
    if patience_s is None:
        return
    try:
        wait_over(pod, timeout_s=patience_s, is_ending=True)
    except TimedOut:
        if timeout_s is None and _waits_for_disk(pod):
            try:
                wait_over(pod, timeout_s=_SLOW_S, is_ending=True)
            except TimedOut:
                pass
        kill(pod, timeout_s=_after_kill_s(pod))


def _waits_for_disk(pod: Pod) -> bool:
    """Whether init is writing down how the apps ended, on a slow disk: killed now, nobody would know."""
    init, _ = keepers(pod)
    return init is not None and init.waits_for_disk()


def ask_to_stop(pod: Pod, *, grace_s: float | None, timeout_s: float | None) -> float | None:
    """The first half of ``stop``: asks, and returns how long to wait (s) before the pod is killed.

    ``None`` where there is nothing to wait for, the pod being gone or, where init did not answer, killed.
    """
    if grace_s is not None:
        grace_s = inputs.seconds(grace_s, "a grace period", inputs.LONGEST_GRACE_S)
    timeout_s = inputs.timeout(timeout_s)
    if not _has_run(pod):
        return None
    try:
        client.ask(pod.fd(), str(pod.uuid), {"op": "stop", "grace_s": grace_s})
    except Unavailable:
        kill(pod, timeout_s=timeout_s)
        return None
    if timeout_s is not None:
        return timeout_s
    return (_planned_grace_s(pod) if grace_s is None else grace_s) + _AFTER_GRACE_S


def kill(pod: Pod, *, timeout_s: float | None = None) -> None:
    """Ends the pod at once: SIGKILL to init, and with it to all in its PID namespace, or in its group."""
    if not _has_run(pod):
        return
    init, _ = keepers(pod)
    if init is None and pod.state() is State.RUNNING:
        init = _await_init(pod)
    pidfd = init.open() if init is not None else None
    if pidfd is not None:
        try:
            send_signal(pidfd, _SIGKILL)
        finally:
            os.close(pidfd)
    deadline = Deadline(_after_kill_s(pod) if timeout_s is None else timeout_s)
    remains.end(pod, deadline)
    wait_init_gone(pod, timeout_s=deadline.left_s())
    _end_stopped_monitor(pod)
    wait_over(pod, timeout_s=deadline.left_s())


def _after_kill_s(pod: Pod) -> float:
    """How long an end may take from SIGKILL on: what detaches a pod from networks has time of its own."""
    return _AFTER_KILL_S + (_DETACHING_S if has_networks(pod) else 0.0)


def _end_stopped_monitor(pod: Pod) -> None:
    """A monitor that somebody stopped holds the lock of an ended pod; what it leaves undone, gc does."""
    _, monitor = keepers(pod)
    if monitor is None or not monitor.is_stopped():
        return
    pidfd = monitor.open()
    if pidfd is not None:
        try:
            send_signal(pidfd, _SIGKILL)
        finally:
            os.close(pidfd)


def _await_init(pod: Pod) -> Keeper | None:
    """Between the rename to run and init's being written down: a moment, or the monitor died in it."""
    deadline = Deadline(_AFTER_GRACE_S)
    while deadline.left_s():
        init, _ = keepers(pod)
        if init is not None or pod.refresh() is not State.RUNNING:
            return init
        sleep(_PAUSE_S)
    return None


def _has_run(pod: Pod) -> bool:
    """Whether there is something to stop; ``Conflict`` for a pod that has not begun."""
    state = pod.refresh()
    if state in (State.EMBRYO, State.PREPARING, State.PREPARED):
        raise Conflict(f"pod {pod.uuid} is {state}: it does not run", hint=f"carob rm {pod.uuid} removes it")
    return state is not State.GONE


def _planned_grace_s(pod: Pod) -> float:
    """The longest of the pod's and its apps' graces, and what sidecars have after the others."""
    try:
        plan = read_plan(pod)
        graces_s = [float(one["grace_s"]) for one in (plan, *plan["apps"]) if "grace_s" in one]
        return max(graces_s) + LAST_GRACE_S
    except (OSError, ValueError, KeyError, TypeError, CarobError):
        return 10.0


def clean_up(pod: Pod, data_dir: str, *, force: bool = False) -> None:
    """What is outside the pod's directory, before that goes: the record of its end, its cgroups and networks.

    A monitor that was killed could not remove those. Safe to do again. Raises ``Conflict`` where processes of
    the pod are still there, and ``Unavailable`` for networks that it cannot be detached from, but with
    ``force``.
    """
    if pod.state() is State.EXITED_DELETING and tombstone.read(data_dir, str(pod.uuid)) is None:
        # Once: a deletion that was cut short leaves a pod that no longer tells all of its end.
        tombstone.write(pod, data_dir)
    release(pod.path())
    try:
        plan = plans.read(read_file(plans.PLAN, dir_fd=pod.fd()))
        group = plan["cgroup"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if is_shortage(error):
            raise
        return
    if "owners" in plan:
        from carob.engine.prepare import user_namespace

        user_namespace.give_back(pod, plan)
    if not isinstance(group, str) or str(pod.uuid) not in group.split("/"):
        return
    busy = cgroup.remove(group)
    if busy:
        raise Conflict(f"pod {pod.uuid}: processes are left in {busy[0]}")
    if pod.state() is State.EXITED_DELETING:
        network_cleanup.release(pod, force=force)


def remove(pod: Pod, data_dir: str, *, force: bool) -> None:
    """Takes the pod away, its directory last. A running one only with ``force``, which kills it first.

    A record of its end stays for a while (``carob.engine.observe.tombstone``). One that another process marks
    or takes away meanwhile is fine. Raises ``Conflict`` for a pod that runs or is being prepared,
    ``LostRace`` where another process ran it, or is slow to take it away.
    """

    state = pod.refresh()
    if state is State.RUNNING:
        if not force:
            raise Conflict(
                f"pod {pod.uuid} is running", hint=f"stop it first (carob stop {pod.uuid}), or use --force"
            )
        kill(pod)
        state = pod.refresh()
    if state is State.EXITED:
        remains.end(pod, Deadline(_AFTER_KILL_S))
        wait_init_gone(pod, timeout_s=_AFTER_KILL_S)
    _remove_ended(pod, data_dir, force=force)


_DELETING = (State.EXITED_DELETING, State.DELETING)
_MARKED = (State.EXITED_GARBAGE, State.GARBAGE)


def _remove_ended(pod: Pod, data_dir: str, *, force: bool) -> None:
    """Removes a pod that does not run, together with whoever else does, or looks at its lock just then."""
    from carob.pod import PodLocked
    from carob.pod.collect import remove_pod

    deadline = Deadline(_AFTER_KILL_S)
    while pod.refresh() is not State.GONE:
        try:
            if pod.state() not in _DELETING:
                remove_pod(
                    pod,
                    alive=lambda one: not is_over(one),
                    clean_up=lambda one: clean_up(one, data_dir, force=force),
                )
                return
        except (LostRace, PodLocked):
            if pod.refresh() not in (*_DELETING, *_MARKED, State.GONE) or not deadline.left_s():
                raise
        if not deadline.left_s():
            raise LostRace(f"pod {pod.uuid} is being deleted by another process", state=pod.state())
        sleep(_PAUSE_S)
