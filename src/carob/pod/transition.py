"""The transitions: each one rename that never replaces, made durable where it has to last.

After the rename the directory that the pod came into is fsynced, and not the one that it left. The
rename is one change to the file system's journal (ext4, xfs, btrfs, f2fs), so either both directories
have it after a power loss or neither; and neither leaves the pod in its earlier state, which is true.

No transition believes the state that the object remembers. To run, the exclusive lock comes first and
then the check that the locked directory is still the one at the path. To mark, which must not pretend
that the pod runs or is prepared, the same is done under a shared lock, on a descriptor of its own.
"""

from __future__ import annotations

import os
from time import monotonic, sleep

from carob.errors import Conflict, LostRace, NotFound
from carob.linux.files import fsync_directory, make_directory_durably, move_noreplace
from carob.linux.flock import EXCLUSIVE, FileLock
from carob.pod.directory import directory_path, open_lock, pod_path
from carob.pod.failure import PodLocked, failed
from carob.pod.layout import DIRECTORY_MODE
from carob.pod.state import (
    DELETING_STATES,
    TO_EXITED_GARBAGE,
    TO_GARBAGE,
    TO_GONE,
    TO_PREPARED,
    TO_PREPARING,
    TO_RUN,
    TRANSITIONS,
    State,
    Transition,
    directory_of,
    states_after,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from carob.pod.pod import Pod

    Taking = Callable[[], bool]

# The states of a pod that somebody has taken through the transition, as long as it is to be found.
_AFTER = {transition.name: states_after(transition.target) - {State.GONE} for transition in TRANSITIONS}
_AFTER[TO_GONE.name] = DELETING_STATES | {State.GONE}
_FIRST_PAUSE_S = 0.0002
_LONGEST_PAUSE_S = 0.01
_MARK_LOCK_TIMEOUT_S = 0.2


def to_preparing(pod: Pod) -> None:
    """See ``Pod.to_preparing``."""
    before = _seen_by_creator(pod, TO_PREPARING)
    if not pod.try_exclusive_lock():
        refuse(pod, TO_PREPARING, before)
    # After a power loss it is collected, wherever it is then.
    _move(pod, TO_PREPARING, before, pod._open(), durable=False)


def to_prepared(pod: Pod, *, durable: bool) -> None:
    """See ``Pod.to_prepared``. What is in the pod must be durable before: see ``Pod.sync``."""
    before = _seen_by_creator(pod, TO_PREPARED)
    if pod.held() != EXCLUSIVE:
        raise Conflict(
            f"pod {pod.uuid} is not locked any more, so its preparation counts as aborted",
            hint="prepare a new pod",
        )
    _move(pod, TO_PREPARED, before, pod._open(), durable=durable)
    pod.unlock()


def to_run(pod: Pod, lock_timeout_s: float) -> None:
    """See ``Pod.to_run``."""
    before = pod.state()
    if pod.held() == EXCLUSIVE:
        if pod.refresh() not in _sources(pod, TO_RUN):
            refuse(pod, TO_RUN, before)
        _move(pod, TO_RUN, before, pod._open())
        return
    try:
        lock = pod._open()
    except NotFound:
        refuse(pod, TO_RUN, before)
    _try_until(pod, TO_RUN, before, lock.try_exclusive_lock, lock_timeout_s)
    try:
        _move(pod, TO_RUN, before, lock)
    except BaseException:
        if pod.state() is not TO_RUN.target:
            lock.unlock()
        raise


def to_exited_garbage(pod: Pod) -> None:
    """See ``Pod.to_exited_garbage``."""
    _mark(pod, TO_EXITED_GARBAGE, _MARK_LOCK_TIMEOUT_S)


def to_garbage(pod: Pod, lock_timeout_s: float) -> None:
    """See ``Pod.to_garbage``."""
    _mark(pod, TO_GARBAGE, lock_timeout_s)


def refuse(pod: Pod, transition: Transition, before: State) -> NoReturn:
    """Raises what is true of a pod that cannot make ``transition``; ``before`` is what the caller knew.

    ``LostRace`` where the caller knew it in a state that allows it, or where another has made this very
    transition; ``PodLocked`` where it could be done but for the lock; else ``Conflict``.
    """
    now = pod.refresh()
    message = f"pod {pod.uuid} is {now}, so {transition.name} cannot be done"
    was_allowed = before in _sources(pod, transition) and now is not before
    was_made = now in _AFTER[transition.name] and pod.held() != EXCLUSIVE
    if was_allowed or was_made:
        raise LostRace(message, state=now, hint="another process did it first; nothing was changed")
    if now in _sources(pod, transition):
        raise PodLocked(f"pod {pod.uuid} is {now}, but its lock is held by another", hint="try again later")
    raise Conflict(message)


def _sources(pod: Pod, transition: Transition) -> frozenset[State]:
    if pod._created_by_me and pod.held() == EXCLUSIVE:
        return transition.sources | transition.creator_sources
    return transition.sources


def _seen_by_creator(pod: Pod, transition: Transition) -> State:
    before = pod.state()
    if not pod._created_by_me:
        raise Conflict(f"only the creator of pod {pod.uuid} may do {transition.name}")
    if before not in transition.creator_sources:
        raise Conflict(f"pod {pod.uuid} is {before}, so {transition.name} cannot be done")
    return before


def _try_until(pod: Pod, transition: Transition, before: State, take: Taking, timeout_s: float) -> None:
    """Takes a lock, with pauses, as long as the pod is where the transition starts from."""
    deadline = monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        # Looked at first: a lock taken in ``run`` would say that the pod runs.
        if pod.refresh() not in _sources(pod, transition):
            refuse(pod, transition, before)
        if take():
            return
        if monotonic() >= deadline:
            refuse(pod, transition, before)
        sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _mark(pod: Pod, transition: Transition, timeout_s: float) -> None:
    before = pod.state()
    if pod.held() == EXCLUSIVE:
        # In ``prepared`` the lock means nothing; where it does, this object makes the pod run or prepare.
        if pod.refresh() not in transition.sources:
            refuse(pod, transition, before)
        _move(pod, transition, before, pod._open())
        return
    try:
        lock = open_lock(pod._data_dir, pod.uuid, directory_of(before))
    except NotFound:
        refuse(pod, transition, before)
    try:
        _try_until(pod, transition, before, lock.try_shared_lock, timeout_s)
        _move(pod, transition, before, lock)
    finally:
        lock.close()


def _move(pod: Pod, transition: Transition, before: State, lock: FileLock, *, durable: bool = True) -> None:
    """The rename, from where the pod was seen last. ``lock`` is the lock it is made under."""
    source, target = directory_of(pod.state()), directory_of(transition.target)
    assert source is not None
    assert target is not None
    source_path = pod_path(pod._data_dir, source, pod.uuid)
    target_path = pod_path(pod._data_dir, target, pod.uuid)
    try:
        if not os.path.samestat(os.stat(source_path), os.fstat(lock.fd())):
            refuse(pod, transition, before)
        _rename_into(source_path, target_path)
    except FileNotFoundError:
        refuse(pod, transition, before)
    except FileExistsError as error:
        raise Conflict(
            f"pod {pod.uuid} is in {target} already, as well as in {source}",
            hint="look at both and move one away",
        ) from error
    except OSError as error:
        raise failed(error, f"cannot move pod {pod.uuid} to {target}") from error
    pod._saw(transition.target)
    if not durable:
        return
    try:
        fsync_directory(directory_path(pod._data_dir, target))
    except OSError as error:
        raise failed(error, f"pod {pod.uuid} is {transition.target}, but not durably") from error


def _rename_into(source_path: str, target_path: str) -> None:
    try:
        move_noreplace(source_path, target_path)
    except FileNotFoundError:
        parent = os.path.dirname(target_path)
        if os.path.isdir(parent) or not os.path.isdir(source_path):
            raise
        make_directory_durably(parent, DIRECTORY_MODE)
        move_noreplace(source_path, target_path)
