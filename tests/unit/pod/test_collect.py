from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from carob.errors import Conflict, CorruptData, LostRace
from carob.pod import (
    BrokenPod,
    Collected,
    Outcome,
    Pod,
    PodAlive,
    Policy,
    Step,
    collect,
    collect_garbage,
    decide,
    open_pod,
    remove_pod,
    scan,
)
from carob.pod.remove import leave_mark
from carob.pod.state import Directory, State
from tests.unit.pod.made import MANIFEST, UUID, locked, make, uuid_of

AT_ONCE = Policy(grace_s=0, expire_prepared_s=0)


def dead(pod: Pod) -> bool:
    return False


def nothing(pod: Pod) -> None:
    pass


def outcomes(collected: list[Collected]) -> dict[str, Outcome]:
    return {one.uuid: one.outcome for one in collected}


@pytest.mark.parametrize(
    ("state", "age_s", "step"),
    [
        (State.EMBRYO, 1799, Step.KEEP),
        (State.EMBRYO, 1800, Step.DELETE_EMBRYO),
        (State.PREPARING, 1e9, Step.KEEP),
        (State.ABORTED_PREPARE, 0, Step.DISCARD),
        (State.PREPARED, 86399, Step.KEEP),
        (State.PREPARED, 86400, Step.DISCARD),
        (State.RUNNING, 1e9, Step.KEEP),
        (State.EXITED, 0, Step.MARK),
        (State.EXITED_GARBAGE, -5, Step.KEEP),
        (State.EXITED_GARBAGE, 1799, Step.KEEP),
        (State.EXITED_GARBAGE, 1800, Step.DELETE),
        (State.EXITED_DELETING, 1e9, Step.KEEP),
        (State.GARBAGE, 0, Step.DELETE),
        (State.DELETING, 1e9, Step.KEEP),
        (State.GONE, 1e9, Step.KEEP),
    ],
)
def test_what_is_due(state: State, age_s: float, step: Step) -> None:
    assert decide(state, age_s, Policy()) is step
    marks = {Step.MARK, Step.DISCARD} if state is not State.PREPARED else set()
    assert decide(state, age_s, Policy(mark_only=True)) is (step if step in marks else Step.KEEP)


def test_deleting_that_has_begun_has_no_grace() -> None:
    assert decide(State.EXITED_GARBAGE, 0, Policy(), begun=True) is Step.DELETE
    assert decide(State.EXITED_DELETING, 0, Policy(), begun=True) is Step.KEEP


def test_one_pass_with_the_usual_patience(data_dir: str) -> None:
    for number, directory in enumerate(Directory):
        make(data_dir, directory, uuid_of(number), pod=MANIFEST)
    running = make(data_dir, Directory.RUN, uuid_of(10), pod=MANIFEST)
    with locked(running):
        collected = collect_garbage(data_dir, alive=dead, clean_up=nothing)
    assert outcomes(collected) == {
        uuid_of(0): Outcome.KEPT,
        uuid_of(1): Outcome.DELETED,
        uuid_of(2): Outcome.KEPT,
        uuid_of(3): Outcome.MARKED,
        uuid_of(4): Outcome.KEPT,
        uuid_of(5): Outcome.DELETED,
        uuid_of(10): Outcome.KEPT,
    }
    assert dict(scan(data_dir)) == {
        uuid_of(0): State.EMBRYO,
        uuid_of(2): State.PREPARED,
        uuid_of(3): State.EXITED_GARBAGE,
        uuid_of(4): State.EXITED_GARBAGE,
        uuid_of(10): State.EXITED,
    }


def test_one_pass_without_patience_leaves_what_lives(data_dir: str) -> None:
    for number, directory in enumerate(Directory):
        make(data_dir, directory, uuid_of(number), pod=MANIFEST)
        make(data_dir, directory, uuid_of(number + 10), pod=MANIFEST)
    held = (Directory.EMBRYO, Directory.PREPARE, Directory.RUN, Directory.EXITED_GARBAGE, Directory.GARBAGE)
    holders = [
        locked(f"{data_dir}/pods/{directory}/{uuid_of(list(Directory).index(directory) + 10)}")
        for directory in held
    ]
    for holder in holders:
        holder.__enter__()
    collected = outcomes(collect_garbage(data_dir, AT_ONCE, alive=dead, clean_up=nothing))
    assert {uuid: out for uuid, out in collected.items() if int(uuid[:8], 16) < 10} == {
        uuid_of(number): Outcome.DELETED for number in range(6)
    }
    left = dict(scan(data_dir))
    for holder in holders:
        holder.__exit__(None, None, None)
    assert left == {
        uuid_of(10): State.EMBRYO,
        uuid_of(11): State.PREPARING,
        uuid_of(13): State.RUNNING,
        uuid_of(14): State.EXITED_DELETING,
        uuid_of(15): State.DELETING,
    }


def test_mark_only(data_dir: str) -> None:
    for number, directory in enumerate(Directory):
        make(data_dir, directory, uuid_of(number), pod=MANIFEST)
    policy = Policy(grace_s=0, expire_prepared_s=0, mark_only=True)
    collect_garbage(data_dir, policy, alive=dead, clean_up=pytest.fail)
    assert sorted(dict(scan(data_dir)).values()) == sorted(
        [State.EMBRYO, State.GARBAGE, State.GARBAGE, State.PREPARED, *[State.EXITED_GARBAGE] * 2]
    )


def test_nothing_is_marked_or_deleted_while_a_process_lives(data_dir: str) -> None:
    make(data_dir, Directory.RUN, uuid_of(1), pod=MANIFEST)
    make(data_dir, Directory.EXITED_GARBAGE, uuid_of(2), pod=MANIFEST)
    before = scan(data_dir)
    collected = collect_garbage(data_dir, AT_ONCE, alive=lambda pod: True, clean_up=pytest.fail)
    assert set(outcomes(collected).values()) == {Outcome.BUSY}
    assert all(isinstance(one.error, PodAlive) for one in collected)
    assert scan(data_dir) == before
    with open_pod(data_dir, uuid_of(1)) as pod, pytest.raises(PodAlive):
        remove_pod(pod, alive=lambda pod: True, clean_up=pytest.fail)
    assert scan(data_dir) == before


def test_clean_up_comes_before_deletion_and_under_the_lock(data_dir: str) -> None:
    make(data_dir, Directory.EXITED_GARBAGE, pod=MANIFEST)
    seen: list[State] = []

    def clean_up(pod: Pod) -> None:
        assert pod.pod_manifest()[0] == MANIFEST
        with open_pod(data_dir, pod.uuid) as other:
            seen.append(other.state())

    collect_garbage(data_dir, AT_ONCE, alive=dead, clean_up=clean_up)
    assert seen == [State.EXITED_DELETING]
    assert scan(data_dir) == []


def test_one_bad_pod_is_reported_and_passed_over(data_dir: str) -> None:
    for number in range(4):
        make(data_dir, Directory.EXITED_GARBAGE, uuid_of(number), pod=MANIFEST)
    Path(data_dir, "pods/run").mkdir()
    Path(data_dir, "pods/run/lost+found").mkdir()

    def clean_up(pod: Pod) -> None:
        if pod.uuid == uuid_of(1):
            raise RuntimeError("the network is stuck")

    def alive(pod: Pod) -> bool:
        if pod.uuid == uuid_of(2):
            raise OSError("who knows")
        return False

    collected = collect_garbage(data_dir, AT_ONCE, alive=alive, clean_up=clean_up)
    assert outcomes(collected) == {
        uuid_of(0): Outcome.DELETED,
        uuid_of(1): Outcome.FAILED,
        uuid_of(2): Outcome.FAILED,
        uuid_of(3): Outcome.DELETED,
        "lost+found": Outcome.FAILED,
    }
    errors = {one.uuid: one.error for one in collected if one.error is not None}
    assert isinstance(errors[uuid_of(1)], RuntimeError)
    assert isinstance(errors["lost+found"], CorruptData)
    assert dict(scan(data_dir)) == {uuid_of(1): State.EXITED_GARBAGE, uuid_of(2): State.EXITED_GARBAGE}
    # What was begun is taken up at once, whatever the grace.
    collected = collect_garbage(data_dir, alive=dead, clean_up=nothing)
    assert outcomes(collected)[uuid_of(1)] is Outcome.DELETED
    assert outcomes(collected)[uuid_of(2)] is Outcome.KEPT


def test_an_interrupt_is_not_one_pods_trouble(data_dir: str) -> None:
    make(data_dir, Directory.EXITED_GARBAGE, pod=MANIFEST)

    def interrupt(pod: Pod) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_garbage(data_dir, AT_ONCE, alive=dead, clean_up=interrupt)
    assert scan(data_dir) == [(UUID, State.EXITED_GARBAGE)]


def test_the_grace_counts_from_the_mark(data_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(data_dir, Directory.RUN, pod=MANIFEST)
    policy = Policy(grace_s=100)
    assert outcomes(collect_garbage(data_dir, policy, alive=dead, clean_up=nothing)) == {UUID: Outcome.MARKED}
    now_s = time.time()
    monkeypatch.setattr(collect, "time", lambda: now_s + 90)
    assert outcomes(collect_garbage(data_dir, policy, alive=dead, clean_up=nothing)) == {UUID: Outcome.KEPT}
    monkeypatch.setattr(collect, "time", lambda: now_s - 1e6)
    assert outcomes(collect_garbage(data_dir, policy, alive=dead, clean_up=nothing)) == {UUID: Outcome.KEPT}
    monkeypatch.setattr(collect, "time", lambda: now_s + 110)
    assert outcomes(collect_garbage(data_dir, policy, alive=dead, clean_up=nothing)) == {
        UUID: Outcome.DELETED
    }


def test_what_another_collects_meanwhile_is_busy_and_no_failure(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(data_dir, Directory.EXITED_GARBAGE, pod=b"")

    def snatch(data: str, include: int) -> list[Pod | BrokenPod]:
        pod = Pod(data_dir, UUID, State.EXITED_GARBAGE)
        os.unlink(f"{path}/pod")
        os.rmdir(path)
        return [pod]

    monkeypatch.setattr(collect, "pods", snatch)
    (one,) = collect_garbage(data_dir, AT_ONCE, alive=dead, clean_up=pytest.fail)
    assert one.outcome is Outcome.BUSY
    assert isinstance(one.error, LostRace)
    assert one.state is State.GONE
    assert "busy" in repr(one)


@pytest.mark.parametrize(
    "directory",
    [Directory.EMBRYO, Directory.PREPARE, Directory.PREPARED, Directory.RUN, *list(Directory)[4:]],
)
def test_removing_takes_whatever_does_not_run(data_dir: str, directory: Directory) -> None:
    path = make(data_dir, directory)
    if directory is not Directory.EMBRYO:
        Path(path, "pod").write_bytes(MANIFEST)
    with open_pod(data_dir, UUID) as pod:
        remove_pod(pod, alive=dead, clean_up=nothing)
        assert pod.state() is State.GONE
    assert scan(data_dir) == []


@pytest.mark.parametrize("directory", [Directory.PREPARE, Directory.RUN, *list(Directory)[4:]])
def test_removing_leaves_what_is_held(data_dir: str, directory: Directory) -> None:
    with locked(make(data_dir, directory, pod=MANIFEST)), open_pod(data_dir, UUID) as pod:
        before = pod.state()
        with pytest.raises(Conflict):
            remove_pod(pod, alive=dead, clean_up=pytest.fail)
        assert pod.refresh() is before


def test_a_mark_left_by_a_deletion_that_was_killed(data_dir: str) -> None:
    make(data_dir, Directory.EXITED_GARBAGE, pod=MANIFEST)
    with open_pod(data_dir, UUID) as pod:
        leave_mark(pod)
    assert outcomes(collect_garbage(data_dir, alive=dead, clean_up=nothing)) == {UUID: Outcome.DELETED}
