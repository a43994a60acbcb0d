from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import pytest

from carob.errors import Conflict, CorruptData, InvalidInput, NotFound
from carob.pod import directory as directories
from carob.pod import new_pod, open_pod, pod_from_uuid_string
from carob.pod.state import Directory, State
from tests.unit.pod.made import UUID, locked, make, uuid_of


def test_a_new_pod_is_preparing_and_locked_in_directories_of_rkts_mode(data_dir: str) -> None:
    before = os.umask(0)
    try:
        pod = new_pod(data_dir)
    finally:
        os.umask(before)
    with pod:
        assert pod.state() is State.PREPARING
        assert pod.path() == f"{data_dir}/pods/prepare/{pod.uuid}"
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", pod.uuid)
        with open_pod(data_dir, pod.uuid) as other:
            assert other.state() is State.PREPARING
            assert not other.try_shared_lock()
        for path in (data_dir, f"{data_dir}/pods", pod.path(), *Path(data_dir, "pods").iterdir()):
            assert os.stat(path).st_mode & 0o7777 == 0o750
    assert {entry.name for entry in Path(data_dir, "pods").iterdir()} == set(Directory)


def test_new_pods_differ(data_dir: str) -> None:
    with new_pod(data_dir) as one, new_pod(data_dir) as other:
        assert one.uuid != other.uuid


def test_a_pod_that_cannot_become_preparing_leaves_no_embryo(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories.make_directories(data_dir)
    os.rmdir(f"{data_dir}/pods/prepare")
    Path(data_dir, "pods/prepare").touch()
    with pytest.raises(CorruptData):
        new_pod(data_dir)
    assert os.listdir(f"{data_dir}/pods/embryo") == []


def test_an_embryo_taken_by_a_collector_is_replaced_by_another(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories.make_directories(data_dir)
    mkdir = os.mkdir
    taken: list[str] = []

    def mkdir_then_lose(path: str, mode: int = 0o777) -> None:
        mkdir(path, mode)
        if not taken:
            taken.append(path)
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", mkdir_then_lose)
    with new_pod(data_dir) as pod:
        assert pod.uuid not in taken[0]


def test_an_embryo_that_a_collector_is_deleting_is_left_to_it(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector holds it, and has left its mark in it."""
    directories.make_directories(data_dir)
    mkdir = os.mkdir
    taken: list[str] = []
    with contextlib.ExitStack() as collector:

        def mkdir_then_lose(path: str, mode: int = 0o777) -> None:
            mkdir(path, mode)
            if not taken:
                taken.append(path)
                collector.enter_context(locked(path))
                mkdir(f"{path}/mark")

        monkeypatch.setattr(os, "mkdir", mkdir_then_lose)
        with new_pod(data_dir) as pod:
            assert pod.uuid not in taken[0]
        assert os.listdir(taken[0]) == ["mark"]


def test_prefixes_are_found_in_four_directories_in_any_case(data_dir: str) -> None:
    for number, directory in enumerate(Directory):
        make(data_dir, directory, uuid_of(number + 0xA0))
    for number, directory in enumerate(Directory):
        prefix = uuid_of(number + 0xA0)[:8].upper()
        if directory in (Directory.EMBRYO, Directory.GARBAGE):
            with pytest.raises(NotFound):
                pod_from_uuid_string(data_dir, prefix)
            open_pod(data_dir, uuid_of(number + 0xA0)).close()
        else:
            with pod_from_uuid_string(data_dir, prefix) as pod:
                assert pod.uuid == uuid_of(number + 0xA0)


def test_prefixes_that_name_no_pod(data_dir: str) -> None:
    make(data_dir, Directory.RUN, uuid_of(1))
    make(data_dir, Directory.RUN, uuid_of(2))
    make(data_dir, Directory.RUN, "lost+found")
    Path(data_dir, "pods/run/cafe").touch()
    with pytest.raises(InvalidInput):
        pod_from_uuid_string(data_dir, "")
    with pytest.raises(InvalidInput, match="2 pods"):
        pod_from_uuid_string(data_dir, "0000000")
    for prefix in ("f", "cafe", uuid_of(1) + "0"):
        with pytest.raises(NotFound):
            pod_from_uuid_string(data_dir, prefix)
    with pytest.raises(CorruptData):
        pod_from_uuid_string(data_dir, "lost")


def test_a_name_in_two_directories_is_one_match_and_the_earlier_directory_counts(data_dir: str) -> None:
    make(data_dir, Directory.PREPARED)
    make(data_dir, Directory.RUN)
    with pod_from_uuid_string(data_dir, UUID[:4]) as pod:
        assert pod.state() is State.PREPARED


def test_looking_makes_nothing(data_dir: str) -> None:
    with pytest.raises(NotFound):
        pod_from_uuid_string(data_dir, "a")
    with pytest.raises(NotFound):
        open_pod(data_dir, UUID)
    assert not os.path.exists(data_dir)


def test_a_file_with_the_name_of_a_pod(data_dir: str) -> None:
    Path(data_dir, "pods/run").mkdir(parents=True)
    Path(data_dir, "pods/run", UUID).touch()
    with pytest.raises(CorruptData):
        open_pod(data_dir, UUID)


def test_the_data_directory_means_the_same_after_a_chdir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with new_pod("data") as pod:
        monkeypatch.chdir("/")
        pod.to_prepared()
        assert pod.path() == f"{tmp_path}/data/pods/prepared/{pod.uuid}"


@pytest.mark.parametrize("directory", [Directory.PREPARE, Directory.RUN, Directory.GARBAGE])
def test_a_lock_counts_only_while_the_pod_is_where_it_was_looked_for(
    data_dir: str, monkeypatch: pytest.MonkeyPatch, directory: Directory
) -> None:
    """The pod moves on between the probe and the answer: what was probed was not this directory's pod."""
    make(data_dir, directory)
    directories.make_directories(data_dir)
    later = f"{data_dir}/pods/{list(Directory)[-1] if directory is not Directory.GARBAGE else 'away'}/{UUID}"
    os.makedirs(os.path.dirname(later), exist_ok=True)
    probe = directories.probe

    def probe_and_move(path: str) -> tuple[bool, int, int]:
        answer = probe(path)
        if f"/{directory}/" in path:
            os.rename(path, later)
        return answer

    monkeypatch.setattr(directories, "probe", probe_and_move)
    found = directories.locate(data_dir, UUID)
    assert found == ((None, False) if directory is Directory.GARBAGE else (Directory.GARBAGE, False))


def test_a_pod_that_never_rests_is_an_error(data_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(data_dir, Directory.RUN)
    monkeypatch.setattr(
        directories, "probe", lambda path: (False, 0, 0) if "/run/" in path else os.stat(path)
    )
    with pytest.raises(CorruptData, match="at every look"):
        directories.locate(data_dir, UUID)
    assert os.path.isdir(path)


def test_a_gone_pod_that_was_never_opened(data_dir: str) -> None:
    with pytest.raises(NotFound):
        directories.open_lock(data_dir, UUID, Directory.RUN)


def test_opening_holds_no_lock(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)
    with open_pod(data_dir, UUID) as pod:
        assert pod.held() == "unlocked"
        with locked(path):
            assert pod.refresh() is State.RUNNING


def test_births_are_bounded(data_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directories.make_directories(data_dir)
    mkdir = os.mkdir

    def mkdir_and_lose(path: str, mode: int = 0o777) -> None:
        mkdir(path, mode)
        os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", mkdir_and_lose)
    with pytest.raises(Conflict, match="taken away"):
        new_pod(data_dir)
