"""Garbage collection: what is to be done with a pod by its state and age, and doing it.

Level-triggered: every pass looks at what is there. One may be killed at any point, and several may run
at once. A pod that cannot be collected is in the result with its reason, and stops no other.
"""

from __future__ import annotations

import os
from enum import Enum
from time import time

from carob.errors import CarobError, Conflict, CorruptData, LostRace, NotFound
from carob.pod.failure import PodLocked, failed
from carob.pod.listing import BrokenPod
from carob.pod.remove import delete, delete_embryo, deleting_has_begun, leave_mark, start_deleting
from carob.pod.state import INCLUDE_ALL_DIRS, State
from carob.pod.walk import pods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from carob.pod.pod import Pod

    Alive: TypeAlias = Callable[[Pod], bool]
    CleanUp: TypeAlias = Callable[[Pod], object]


class Policy:
    """How patient to be, in seconds.

    ``grace_s``: how long garbage that ran is kept (rkt: 30 minutes), and an embryo nobody holds.
    ``expire_prepared_s``: how long a prepared pod may wait to be run (rkt: 24 hours). With
    ``mark_only`` exited pods and aborted prepares become garbage and nothing is expired or deleted.
    """

    __slots__ = ("expire_prepared_s", "grace_s", "mark_only")

    def __init__(
        self, *, grace_s: float = 1800.0, expire_prepared_s: float = 86400.0, mark_only: bool = False
    ) -> None:
        self.grace_s = grace_s
        self.expire_prepared_s = expire_prepared_s
        self.mark_only = mark_only


class Step(Enum):
    """What is to be done with one pod now."""

    KEEP = "keep"
    MARK = "mark"
    DISCARD = "discard"
    DELETE = "delete"
    DELETE_EMBRYO = "delete embryo"


class Outcome(Enum):
    """What became of one pod in a pass."""

    KEPT = "kept"
    MARKED = "marked"
    DISCARDED = "discarded"
    DELETED = "deleted"
    BUSY = "busy"
    FAILED = "failed"


class Collected:
    """One pod's part of a pass.

    ``state`` is as it was left, ``None`` for what is no pod. ``error`` is why it is ``FAILED``, or
    ``BUSY``: another was quicker or holds the pod, or a process of it lives.
    """

    __slots__ = ("error", "outcome", "state", "uuid")

    def __init__(
        self, uuid: str, outcome: Outcome, state: State | None, error: Exception | None = None
    ) -> None:
        self.uuid = uuid
        self.outcome = outcome
        self.state = state
        self.error = error

    def __repr__(self) -> str:
        reason = f": {self.error}" if self.error is not None else ""
        return f"<Collected {self.uuid} {self.outcome.value}{reason}>"


def decide(state: State, age_s: float, policy: Policy, *, begun: bool = False) -> Step:
    """What to do with a pod in ``state`` that came into its directory ``age_s`` seconds ago.

    ``begun``: deleting it has begun already, so there is no grace to wait for.
    """
    match state:
        case State.EXITED:
            return Step.MARK
        case State.ABORTED_PREPARE:
            return Step.DISCARD
        case _ if policy.mark_only:
            return Step.KEEP
        case State.PREPARED if age_s >= policy.expire_prepared_s:
            return Step.DISCARD
        case State.EXITED_GARBAGE if begun or age_s >= policy.grace_s:
            return Step.DELETE
        case State.GARBAGE:
            return Step.DELETE
        case State.EMBRYO if age_s >= policy.grace_s:
            return Step.DELETE_EMBRYO
        case _:
            return Step.KEEP


def collect_garbage(
    data_dir: str | os.PathLike[str], policy: Policy | None = None, *, alive: Alive, clean_up: CleanUp
) -> list[Collected]:
    """One pass over all pods.

    ``alive`` says whether a process of an ended pod still lives: then the pod is left alone. ``clean_up``
    is called, with the pod locked as deleting, before it is deleted, for what is outside its directory
    (networks, mounts, cgroups); it must be fit to be called again. Whatever either raises is that pod's
    trouble alone. Raises ``PermissionDenied`` and its like where the pods cannot be listed.
    """
    policy = policy or Policy()
    collected = []
    for pod in pods(data_dir, INCLUDE_ALL_DIRS):
        if isinstance(pod, BrokenPod):
            error = CorruptData(
                f"{pod.directory}/{pod.name} is not a pod: {pod.reason}", hint="look at it and move it away"
            )
            collected.append(Collected(pod.name, Outcome.FAILED, None, error))
        else:
            collected.append(collect_pod(pod, policy, alive=alive, clean_up=clean_up))
    return collected


def collect_pod(pod: Pod, policy: Policy, *, alive: Alive, clean_up: CleanUp) -> Collected:
    """Does with one pod all that is due, step after step. Raises nothing but what ends the program."""
    outcome = Outcome.KEPT
    try:
        while True:
            step = _due(pod, policy)
            if step is Step.KEEP:
                return Collected(pod.uuid, outcome, pod.state())
            outcome = _do(step, pod, alive, clean_up)
            if outcome is Outcome.DELETED:
                return Collected(pod.uuid, outcome, pod.state())
    except (LostRace, PodAlive, PodLocked) as error:
        return Collected(pod.uuid, Outcome.BUSY, pod.state(), error)
    except Exception as error:  # noqa: BLE001 - one pod's trouble, the callbacks' too, stays with that pod
        outcome = Outcome.BUSY if isinstance(error, NotFound) and _is_gone(pod) else Outcome.FAILED
        return Collected(pod.uuid, outcome, pod.state(), error)


def remove_pod(pod: Pod, *, alive: Alive, clean_up: CleanUp) -> None:
    """Deletes a pod now, without grace, whatever it is that does not run.

    Raises ``Conflict`` for a pod that is running, being prepared or being deleted, ``PodAlive`` where a
    process of it lives, ``LostRace`` where another removes or runs it meanwhile. ``collect_garbage`` says
    what ``alive`` and ``clean_up`` are for.
    """
    match pod.refresh():
        case State.EXITED:
            _require_dead(pod, alive)
            pod.to_exited_garbage()
        case State.ABORTED_PREPARE | State.PREPARED:
            pod.to_garbage()
        case State.EMBRYO:
            delete_embryo(pod)
            return
        case _:
            pass
    _delete_dead(pod, alive, clean_up)


def _is_gone(pod: Pod) -> bool:
    try:
        return pod.refresh() is State.GONE
    except CarobError:
        return False


class PodAlive(Conflict):
    """The pod's lock is free, and a process of the pod lives still."""

    kind = "pod alive"


def _due(pod: Pod, policy: Policy) -> Step:
    state = pod.state()
    if decide(state, float("inf"), policy) is Step.KEEP:
        return Step.KEEP  # whatever its age: most pods, and no need to look at them
    try:
        age_s = time() - os.lstat(pod.path()).st_ctime
    except FileNotFoundError:
        if pod.refresh() is state:
            raise
        raise LostRace(f"pod {pod.uuid} is {pod.state()} already", state=pod.state()) from None
    except OSError as error:
        raise failed(error, f"cannot look at pod {pod.uuid}") from error
    begun = state is State.EXITED_GARBAGE and deleting_has_begun(pod)
    return decide(state, age_s, policy, begun=begun)


def _do(step: Step, pod: Pod, alive: Alive, clean_up: CleanUp) -> Outcome:
    match step:
        case Step.MARK:
            _require_dead(pod, alive)
            pod.to_exited_garbage()
            return Outcome.MARKED
        case Step.DISCARD:
            pod.to_garbage(lock_timeout_s=0.05)
            return Outcome.DISCARDED
        case Step.DELETE:
            _delete_dead(pod, alive, clean_up)
            return Outcome.DELETED
        case Step.DELETE_EMBRYO:
            delete_embryo(pod)
            return Outcome.DELETED
        case Step.KEEP:
            return Outcome.KEPT


def _require_dead(pod: Pod, alive: Alive) -> None:
    if alive(pod):
        raise PodAlive(f"pod {pod.uuid} has ended, but a process of it lives", hint="try again later")


def _delete_dead(pod: Pod, alive: Alive, clean_up: CleanUp) -> None:
    start_deleting(pod)
    try:
        _require_dead(pod, alive)
        leave_mark(pod)
        clean_up(pod)
        delete(pod)
    finally:
        if pod.state() is not State.GONE:
            pod.unlock()
            try:
                pod.refresh()
            except CarobError:
                pass  # what brought us here is being raised
