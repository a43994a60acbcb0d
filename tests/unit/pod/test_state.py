"""The state table, cell by cell: against its meaning, and against real directories and locks."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from carob.pod import state as table
from carob.pod.directory import open_pod
from carob.pod.state import AFTER_RUN, FINISHED, STATES, Directory, IncludeMask, State
from carob.pod.walk import scan
from tests.unit.pod.made import UUID, locked, make

# (directory, locked): state, finished, after run, manifest available. Written out a second time on
# purpose: this is what the table has to say.
MEANING = {
    ("embryo", True): ("embryo", False, False, True),
    ("embryo", False): ("embryo", False, False, True),
    ("prepare", True): ("preparing", False, False, False),
    ("prepare", False): ("aborted prepare", True, False, False),
    ("prepared", True): ("prepared", False, False, True),
    ("prepared", False): ("prepared", False, False, True),
    ("run", True): ("running", False, False, True),
    ("run", False): ("exited", True, True, True),
    ("exited-garbage", True): ("exited deleting", True, True, True),
    ("exited-garbage", False): ("exited garbage", True, True, True),
    ("garbage", True): ("deleting", True, True, False),
    ("garbage", False): ("garbage", True, True, True),
    (None, True): ("gone", True, False, False),
    (None, False): ("gone", True, False, False),
}
CELLS = [(directory, cell) for directory in STATES for cell in (0, 1)]


def faults(data_dir: str) -> list[str]:
    """Where the table, or what is seen of real directories by it, differs from ``MEANING``."""
    found = []
    for (name, is_locked), (meant, finished, after_run, available) in MEANING.items():
        directory = None if name is None else Directory(name)
        state = table.state_of(directory, locked=is_locked)
        seen = (
            state,
            table.is_finished(state),
            table.is_after_run(state),
            table.is_manifest_available(state),
        )
        if seen != (meant, finished, after_run, available):
            found.append(f"{name}, locked {is_locked}: {seen}")
        if directory is None:
            continue
        with ExitStack() as stack:
            place = f"{data_dir}/{name}-{is_locked}"
            path = make(place, directory)
            if is_locked:
                stack.enter_context(locked(path))
            with open_pod(place, UUID) as pod:
                for how, what in (
                    ("opened", pod.state()),
                    ("refreshed", pod.refresh()),
                    ("scanned", dict(scan(place)).get(UUID)),
                ):
                    if what != meant:
                        found.append(f"{name}, locked {is_locked}, {how}: {what}")
                if pod.path() != path:
                    found.append(f"{name}: {pod.path()}")
    return found


def test_every_cell(data_dir: str) -> None:
    assert faults(data_dir) == []


@pytest.mark.parametrize(("directory", "cell"), CELLS)
def test_changing_any_cell_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: Directory | None, cell: int
) -> None:
    right = STATES[directory]
    for wrong in (State.RUNNING, State.EXITED, State.GONE):
        changed = list(right)
        if changed[cell] is wrong:
            continue
        changed[cell] = wrong
        monkeypatch.setitem(STATES, directory, (changed[0], changed[1]))
        assert any(str(directory and directory.value) in fault for fault in faults(str(tmp_path / wrong)))


def test_values_are_rkts_strings() -> None:
    assert [str(state) for state in State] == [
        "embryo",
        "preparing",
        "aborted prepare",
        "prepared",
        "running",
        "exited",
        "exited deleting",
        "exited garbage",
        "deleting",
        "garbage",
        "gone",
    ]


def test_masks_are_rkts_bits() -> None:
    masks = {
        "INCLUDE_EMBRYO_DIR": 1,
        "INCLUDE_PREPARE_DIR": 2,
        "INCLUDE_PREPARED_DIR": 4,
        "INCLUDE_RUN_DIR": 8,
        "INCLUDE_EXITED_GARBAGE_DIR": 16,
        "INCLUDE_GARBAGE_DIR": 32,
        "INCLUDE_MOST_DIRS": 30,
        "INCLUDE_ALL_DIRS": 63,
    }
    assert {name: getattr(table, name).value for name in masks} == masks
    for bit, directory in enumerate(Directory):
        assert table.included(1 << bit) == [directory]
    assert table.included(IncludeMask.ALL_DIRS) == list(Directory)
    assert Directory.EMBRYO not in table.included(IncludeMask.MOST_DIRS)


def test_directories_are_looked_at_in_rkts_order() -> None:
    assert list(Directory) == ["embryo", "prepare", "prepared", "run", "exited-garbage", "garbage"]


@pytest.mark.parametrize(
    ("state", "following"),
    [
        (State.EMBRYO, {State.PREPARING}),
        (State.PREPARING, {State.PREPARED, State.RUNNING, State.ABORTED_PREPARE}),
        (State.ABORTED_PREPARE, {State.GARBAGE}),
        (State.PREPARED, {State.RUNNING, State.GARBAGE}),
        (State.RUNNING, {State.EXITED}),
        (State.EXITED, {State.EXITED_GARBAGE}),
        (State.EXITED_GARBAGE, {State.EXITED_DELETING}),
        (State.EXITED_DELETING, {State.EXITED_GARBAGE, State.GONE}),
        (State.GARBAGE, {State.DELETING}),
        (State.DELETING, {State.GARBAGE, State.GONE}),
        (State.GONE, set()),
    ],
)
def test_what_can_follow(state: State, following: set[State]) -> None:
    assert table.next_states(state) == following


def test_no_way_leads_back_to_running() -> None:
    for state in FINISHED:
        assert State.RUNNING not in table.states_after(state)
    assert AFTER_RUN < FINISHED
