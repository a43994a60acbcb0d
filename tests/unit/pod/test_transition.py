from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from carob.errors import Conflict, InvalidInput, LostRace
from carob.pod import Pod, new_pod, open_pod, transition
from carob.pod.remove import delete, start_deleting
from carob.pod.state import Directory, State
from tests.unit.pod.made import UUID, locked, make

Transition = Callable[[Pod], None]


def test_the_whole_life(data_dir: str) -> None:
    with new_pod(data_dir) as pod:
        pod.to_prepared()
        assert (pod.state(), pod.held()) == (State.PREPARED, "unlocked")
        pod.to_run()
        assert (pod.state(), pod.held()) == (State.RUNNING, "exclusive")
        pod.unlock()
        assert pod.refresh() is State.EXITED
        pod.to_exited_garbage()
        assert pod.state() is State.EXITED_GARBAGE
        start_deleting(pod)
        assert pod.state() is State.EXITED_DELETING
        delete(pod)
        assert pod.state() is State.GONE
        assert pod.refresh() is State.GONE
        assert pod.path() == ""


def test_the_creator_may_run_without_preparing_to_the_end(data_dir: str) -> None:
    with new_pod(data_dir) as pod:
        pod.to_run()
        assert pod.state() is State.RUNNING
        with open_pod(data_dir, pod.uuid) as other:
            assert other.state() is State.RUNNING


def test_an_aborted_prepare_becomes_garbage(data_dir: str) -> None:
    with new_pod(data_dir) as pod:
        uuid = pod.uuid
    with open_pod(data_dir, uuid) as pod:
        assert pod.state() is State.ABORTED_PREPARE
        pod.to_garbage()
        assert pod.state() is State.GARBAGE
        delete(pod)
        assert pod.state() is State.GONE


def test_a_prepared_pod_becomes_garbage(data_dir: str) -> None:
    make(data_dir, Directory.PREPARED)
    with open_pod(data_dir, UUID) as pod:
        pod.to_garbage()
        assert os.path.isdir(f"{data_dir}/pods/garbage/{UUID}")


ALLOWED: dict[str, set[tuple[Directory, bool]]] = {
    "to_preparing": set(),
    "to_prepared": set(),
    "to_run": {(Directory.PREPARED, False)},
    "to_exited_garbage": {(Directory.RUN, False)},
    "to_garbage": {(Directory.PREPARE, False), (Directory.PREPARED, False)},
}


@pytest.mark.parametrize("is_locked", [False, True])
@pytest.mark.parametrize("directory", list(Directory))
@pytest.mark.parametrize("name", ALLOWED)
def test_who_is_not_the_creator_may_do_only_what_the_table_says(
    data_dir: str, name: str, directory: Directory, is_locked: bool
) -> None:
    path = make(data_dir, directory)
    holder = os.open(path, os.O_RDONLY)
    if is_locked:
        fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with open_pod(data_dir, UUID) as pod:
            before = pod.state()
            arguments = {"lock_timeout_s": 0.01} if name in ("to_run", "to_garbage") else {}
            if (directory, is_locked) in ALLOWED[name]:
                getattr(pod, name)(**arguments)
                assert not os.path.exists(path)
            else:
                with pytest.raises(Conflict):
                    getattr(pod, name)(**arguments)
                assert os.path.isdir(path)
                assert pod.refresh() is before
                assert pod.held() == "unlocked"
    finally:
        os.close(holder)


def move(data_dir: str, source: Directory, target: Directory) -> None:
    os.makedirs(f"{data_dir}/pods/{target}", exist_ok=True)
    os.rename(f"{data_dir}/pods/{source}/{UUID}", f"{data_dir}/pods/{target}/{UUID}")


@pytest.mark.parametrize(
    ("name", "source", "target", "seen"),
    [
        ("to_run", Directory.PREPARED, Directory.RUN, State.EXITED),
        ("to_run", Directory.PREPARED, Directory.GARBAGE, State.GARBAGE),
        ("to_garbage", Directory.PREPARED, Directory.RUN, State.EXITED),
        ("to_garbage", Directory.PREPARE, Directory.GARBAGE, State.GARBAGE),
        ("to_exited_garbage", Directory.RUN, Directory.EXITED_GARBAGE, State.EXITED_GARBAGE),
    ],
)
def test_losing_a_race_has_a_name_and_says_where_the_pod_is(
    data_dir: str, name: str, source: Directory, target: Directory, seen: State
) -> None:
    make(data_dir, source)
    with open_pod(data_dir, UUID) as pod:
        move(data_dir, source, target)
        with pytest.raises(LostRace) as lost:
            getattr(pod, name)()
        assert lost.value.state == seen
        assert pod.state() is seen
        assert pod.held() == "unlocked"
    assert pickle.loads(pickle.dumps(lost.value)).state == seen


@pytest.mark.parametrize("name", ["to_run", "to_garbage", "to_exited_garbage"])
def test_losing_a_race_to_a_pod_that_is_gone(data_dir: str, name: str) -> None:
    source = Directory.RUN if name == "to_exited_garbage" else Directory.PREPARED
    path = make(data_dir, source)
    with open_pod(data_dir, UUID) as pod:
        os.rmdir(path)
        with pytest.raises(LostRace) as lost:
            getattr(pod, name)()
        assert lost.value.state == State.GONE


def test_who_comes_late_to_run_has_lost_as_well(data_dir: str) -> None:
    with locked(make(data_dir, Directory.RUN)), open_pod(data_dir, UUID) as pod:
        with pytest.raises(LostRace) as lost:
            pod.to_run()
        assert lost.value.state == State.RUNNING


def test_running_twice_oneself_is_no_race(data_dir: str) -> None:
    make(data_dir, Directory.PREPARED)
    with open_pod(data_dir, UUID) as pod:
        pod.to_run()
        with pytest.raises(Conflict) as refused:
            pod.to_run()
        assert not isinstance(refused.value, LostRace)
        assert pod.refresh() is State.RUNNING


@pytest.mark.parametrize("name", ["to_run", "to_garbage", "to_exited_garbage"])
def test_a_stale_state_is_not_believed(data_dir: str, name: str) -> None:
    """The object remembers a state that forbids it; the pod is by now in one that allows it."""
    earlier, later = {
        "to_run": (Directory.PREPARE, Directory.PREPARED),
        "to_garbage": (Directory.EMBRYO, Directory.PREPARED),
        "to_exited_garbage": (Directory.PREPARED, Directory.RUN),
    }[name]
    make(data_dir, earlier)
    with open_pod(data_dir, UUID) as pod:
        move(data_dir, earlier, later)
        getattr(pod, name)()
        assert not os.path.exists(f"{data_dir}/pods/{later}/{UUID}")


def test_a_pod_that_began_to_run_is_not_marked(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)
    with open_pod(data_dir, UUID) as pod:
        assert pod.state() is State.EXITED
        with locked(path), pytest.raises(Conflict):
            pod.to_exited_garbage()
        assert os.path.isdir(path)


def test_marking_never_says_that_the_pod_runs(data_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the mark is made others see the pod exited: the lock taken for it is a shared one."""
    make(data_dir, Directory.RUN)
    seen: list[State] = []
    move_noreplace = transition.move_noreplace

    def watched(source: str, target: str) -> None:
        with open_pod(data_dir, UUID) as other:
            seen.append(other.state())
            assert not other.try_exclusive_lock(), "nobody can take it away meanwhile"
        move_noreplace(source, target)

    monkeypatch.setattr(transition, "move_noreplace", watched)
    with open_pod(data_dir, UUID) as pod:
        pod.to_exited_garbage()
    assert set(seen) == {State.EXITED}


def test_a_probe_does_not_keep_a_pod_from_running(data_dir: str) -> None:
    path = make(data_dir, Directory.PREPARED)
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    child = os.fork()
    if child == 0:
        import time

        time.sleep(0.05)
        os._exit(0)
    os.close(fd)  # the child holds the probe's lock until it ends
    with open_pod(data_dir, UUID) as pod:
        pod.to_run(lock_timeout_s=30)
        assert pod.state() is State.RUNNING
    os.waitpid(child, 0)


def test_a_lock_held_for_long_is_not_waited_for_for_ever(data_dir: str) -> None:
    with locked(make(data_dir, Directory.PREPARED)), open_pod(data_dir, UUID) as pod:
        with pytest.raises(Conflict, match="held by another"):
            pod.to_run(lock_timeout_s=0.02)
        assert pod.refresh() is State.PREPARED


@pytest.mark.parametrize("name", ["to_run", "to_exited_garbage", "to_garbage"])
def test_nothing_is_replaced(data_dir: str, name: str) -> None:
    source, target = {
        "to_run": (Directory.PREPARED, Directory.RUN),
        "to_exited_garbage": (Directory.RUN, Directory.EXITED_GARBAGE),
        "to_garbage": (Directory.PREPARED, Directory.GARBAGE),
    }[name]
    make(data_dir, source, pod=b"mine")
    other = make(data_dir, target)  # empty, so that a plain rename would replace it
    inode = os.stat(other).st_ino
    with open_pod(data_dir, UUID) as pod:
        with pytest.raises(Conflict, match="already"):
            getattr(pod, name)()
        assert pod.held() == "unlocked"
    assert os.stat(other).st_ino == inode
    assert Path(data_dir, "pods", source, UUID, "pod").read_bytes() == b"mine"


def test_the_directory_at_the_path_must_be_the_one_that_is_locked(data_dir: str) -> None:
    path = make(data_dir, Directory.PREPARED)
    with open_pod(data_dir, UUID) as pod:
        os.rename(path, f"{data_dir}/elsewhere")
        os.mkdir(path)
        with pytest.raises(Conflict):
            pod.to_run()
        assert os.path.isdir(path)
        assert pod.held() == "unlocked"


def test_every_rename_that_must_last_is_followed_by_a_sync_of_the_directory_it_leads_to(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    move_noreplace, fsync = transition.move_noreplace, os.fsync

    def watched_move(source: str, target: str) -> None:
        move_noreplace(source, target)
        done.append("to " + target.split("/")[-2])

    def watched_sync(fd: int) -> None:
        fsync(fd)
        done.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))

    with new_pod(data_dir) as first:
        first.to_prepared()
    monkeypatch.setattr(transition, "move_noreplace", watched_move)
    monkeypatch.setattr(os, "fsync", watched_sync)
    with new_pod(data_dir) as pod:
        pod.to_prepared()
        pod.to_run()
        pod.unlock()
        pod.to_exited_garbage()
    with open_pod(data_dir, first.uuid) as pod:
        pod.to_garbage()
    order = ["prepared", "run", "exited-garbage", "garbage"]
    assert done == ["to prepare", *[step for name in order for step in (f"to {name}", f"sync {name}")]]
    done.clear()
    with new_pod(data_dir) as pod:
        pod.to_prepared(durable=False)
    assert done == ["to prepare", "to prepared"]


def test_only_the_creator_prepares(data_dir: str) -> None:
    with new_pod(data_dir) as creator, open_pod(data_dir, creator.uuid) as other:
        for attempt in (other.to_preparing, other.to_prepared, other.to_run):
            with pytest.raises(Conflict):
                attempt()
        with pytest.raises(Conflict):
            creator.to_preparing()
        assert creator.refresh() is State.PREPARING


def test_a_creator_that_let_go_of_the_lock_has_aborted(data_dir: str) -> None:
    with new_pod(data_dir) as pod:
        pod.unlock()
        assert pod.refresh() is State.ABORTED_PREPARE
        for attempt in (pod.to_prepared, pod.to_run):
            with pytest.raises(Conflict):
                attempt()


def test_an_unlocked_creator_that_has_not_looked_has_aborted_as_well(data_dir: str) -> None:
    with new_pod(data_dir) as pod:
        pod.unlock()
        with pytest.raises(Conflict, match="aborted"):
            pod.to_prepared()


def test_a_forked_child_is_not_the_creator(data_dir: str) -> None:
    with new_pod(data_dir) as pod:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                pod.to_prepared()
            except Conflict:
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert pod.refresh() is State.PREPARING
        pod.to_prepared()


def test_missing_directories_of_an_old_data_directory_are_made(data_dir: str) -> None:
    make(data_dir, Directory.PREPARED)
    assert not os.path.exists(f"{data_dir}/pods/run")
    with open_pod(data_dir, UUID) as pod:
        pod.to_run()
        assert pod.state() is State.RUNNING


def test_a_held_prepared_pod_can_be_run_and_discarded_by_its_holder(data_dir: str) -> None:
    make(data_dir, Directory.PREPARED)
    with open_pod(data_dir, UUID) as pod:
        assert pod.try_exclusive_lock()
        pod.to_run()
        assert pod.state() is State.RUNNING
        with pytest.raises(Conflict):
            pod.to_exited_garbage()
    make(data_dir, Directory.PREPARED, "b" + UUID[1:])
    with open_pod(data_dir, "b" + UUID[1:]) as pod:
        assert pod.try_exclusive_lock()
        pod.to_garbage()
        assert pod.refresh() is State.DELETING


def test_a_closed_pod_makes_no_transition(data_dir: str) -> None:
    make(data_dir, Directory.PREPARED)
    pod = open_pod(data_dir, UUID)
    pod.close()
    with pytest.raises(InvalidInput):
        pod.to_run()
    assert os.path.isdir(f"{data_dir}/pods/prepared/{UUID}")
