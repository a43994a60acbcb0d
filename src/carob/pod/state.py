"""The states of a pod: one table, and all that follows from it. Nothing here touches a disk.

A pod's state is the directory it is in and whether that directory is exclusively locked. The names,
values and bits are rkt's; ``gone`` is new: rkt's package called such a pod running.
"""

from __future__ import annotations

from enum import IntFlag, StrEnum


class State(StrEnum):
    """Where a pod is in its life. The values are the strings that rkt prints."""

    EMBRYO = "embryo"
    PREPARING = "preparing"
    ABORTED_PREPARE = "aborted prepare"
    PREPARED = "prepared"
    RUNNING = "running"
    EXITED = "exited"
    EXITED_DELETING = "exited deleting"
    EXITED_GARBAGE = "exited garbage"
    DELETING = "deleting"
    GARBAGE = "garbage"
    GONE = "gone"


class Directory(StrEnum):
    """The directories below ``pods/``, in the order that a pod goes through them.

    A pod only ever moves onwards, so whoever looks in this order misses none that moves meanwhile.
    """

    EMBRYO = "embryo"
    PREPARE = "prepare"
    PREPARED = "prepared"
    RUN = "run"
    EXITED_GARBAGE = "exited-garbage"
    GARBAGE = "garbage"


# directory, or None where the pod is in none: (state while locked, state while unlocked)
STATES: dict[Directory | None, tuple[State, State]] = {
    Directory.EMBRYO: (State.EMBRYO, State.EMBRYO),
    Directory.PREPARE: (State.PREPARING, State.ABORTED_PREPARE),
    Directory.PREPARED: (State.PREPARED, State.PREPARED),
    Directory.RUN: (State.RUNNING, State.EXITED),
    Directory.EXITED_GARBAGE: (State.EXITED_DELETING, State.EXITED_GARBAGE),
    Directory.GARBAGE: (State.DELETING, State.GARBAGE),
    None: (State.GONE, State.GONE),
}


class Transition:
    """One change of state that is a rename.

    ``sources`` are the states that anybody may start from, ``creator_sources`` those that only the
    creator may, while it still holds the lock it made the pod with; ``target`` is the state reached.
    """

    __slots__ = ("creator_sources", "name", "sources", "target")

    def __init__(
        self, name: str, target: State, *, sources: tuple[State, ...] = (), creator: tuple[State, ...] = ()
    ) -> None:
        self.name = name
        self.target = target
        self.sources = frozenset(sources)
        self.creator_sources = frozenset(creator)


TO_PREPARING = Transition("to_preparing", State.PREPARING, creator=(State.EMBRYO,))
TO_PREPARED = Transition("to_prepared", State.PREPARED, creator=(State.PREPARING,))
TO_RUN = Transition("to_run", State.RUNNING, sources=(State.PREPARED,), creator=(State.PREPARING,))
TO_EXITED_GARBAGE = Transition("to_exited_garbage", State.EXITED_GARBAGE, sources=(State.EXITED,))
TO_GARBAGE = Transition("to_garbage", State.GARBAGE, sources=(State.ABORTED_PREPARE, State.PREPARED))
# Not a rename: the directory is deleted, under the exclusive lock.
TO_GONE = Transition("delete", State.GONE, sources=(State.EXITED_GARBAGE, State.GARBAGE))
TRANSITIONS = (TO_PREPARING, TO_PREPARED, TO_RUN, TO_EXITED_GARBAGE, TO_GARBAGE)

# What a lock on the directory changes, follows from the table.
STATE_AFTER_UNLOCK = {locked: unlocked for locked, unlocked in STATES.values() if locked != unlocked}
STATE_AFTER_LOCK = {unlocked: locked for locked, unlocked in STATE_AFTER_UNLOCK.items()}
DELETING_STATES = frozenset(
    STATES[directory][0] for directory in (Directory.EXITED_GARBAGE, Directory.GARBAGE)
)
_DIRECTORIES = {state: directory for directory, pair in STATES.items() for state in pair}


class IncludeMask(IntFlag):
    """Which directories to look into, with rkt's bits: one for each, in order."""

    EMBRYO_DIR = 1 << 0
    PREPARE_DIR = 1 << 1
    PREPARED_DIR = 1 << 2
    RUN_DIR = 1 << 3
    EXITED_GARBAGE_DIR = 1 << 4
    GARBAGE_DIR = 1 << 5
    MOST_DIRS = RUN_DIR | EXITED_GARBAGE_DIR | PREPARE_DIR | PREPARED_DIR
    ALL_DIRS = MOST_DIRS | EMBRYO_DIR | GARBAGE_DIR


INCLUDE_EMBRYO_DIR = IncludeMask.EMBRYO_DIR
INCLUDE_PREPARE_DIR = IncludeMask.PREPARE_DIR
INCLUDE_PREPARED_DIR = IncludeMask.PREPARED_DIR
INCLUDE_RUN_DIR = IncludeMask.RUN_DIR
INCLUDE_EXITED_GARBAGE_DIR = IncludeMask.EXITED_GARBAGE_DIR
INCLUDE_GARBAGE_DIR = IncludeMask.GARBAGE_DIR
INCLUDE_MOST_DIRS = IncludeMask.MOST_DIRS
INCLUDE_ALL_DIRS = IncludeMask.ALL_DIRS


def included(include: int) -> list[Directory]:
    """The directories that ``include`` names, in the order to look into them."""
    return [directory for bit, directory in enumerate(Directory) if include & (1 << bit)]


def state_of(directory: Directory | None, *, locked: bool) -> State:
    """The state that being in ``directory``, exclusively locked or not, means."""
    return STATES[directory][0 if locked else 1]


def directory_of(state: State) -> Directory | None:
    """The directory of every pod in ``state``; ``None`` for ``gone``."""
    return _DIRECTORIES[state]


def next_states(state: State) -> frozenset[State]:
    """The states that can follow ``state`` at once, by a rename, a lock dropped or taken, or deletion.

    A lock is counted as taken only for deletion: in ``run`` and ``prepare`` nobody takes one anew.
    """
    following = {
        transition.target
        for transition in TRANSITIONS
        if state in transition.sources or state in transition.creator_sources
    }
    if state in STATE_AFTER_UNLOCK:
        following.add(STATE_AFTER_UNLOCK[state])
    if state in DELETING_STATES:
        following.add(State.GONE)
    if STATE_AFTER_LOCK.get(state) in DELETING_STATES:
        following.add(STATE_AFTER_LOCK[state])
    return frozenset(following)


def states_after(state: State) -> frozenset[State]:
    """``state`` and every state that a pod can come to from it."""
    after: set[State] = {state}
    while more := {following for known in after for following in next_states(known)} - after:
        after |= more
    return frozenset(after)


# Finished: what does not run and never will. After run: past running, and still to be found.
FINISHED = frozenset(state for state in State if State.RUNNING not in states_after(state))
AFTER_RUN = FINISHED - {State.ABORTED_PREPARE, State.GONE}

# The manifest may not be there yet, or not any more.
MANIFEST_UNAVAILABLE = frozenset({State.PREPARING, State.ABORTED_PREPARE, State.DELETING, State.GONE})


def is_finished(state: State) -> bool:
    """Whether ``state`` is terminal: the pod does not run and never will."""
    return state in FINISHED


def is_after_run(state: State) -> bool:
    """Whether ``state`` comes after running; never-run garbage counts, as in rkt, and ``gone`` does not."""
    return state in AFTER_RUN


def is_manifest_available(state: State) -> bool:
    """Whether a manifest can be expected in ``state``."""
    return state not in MANIFEST_UNAVAILABLE
