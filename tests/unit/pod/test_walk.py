from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from carob.errors import PermissionDenied
from carob.pod import BrokenPod, Pod, listing, pods, scan, walk, walk_pods
from carob.pod.state import INCLUDE_ALL_DIRS, INCLUDE_RUN_DIR, STATES, Directory, State, included
from tests.unit.pod.made import MANIFEST, UUID, locked, make, uuid_of


@pytest.fixture(autouse=True)
def _no_number_is_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "FEW", 0)


def test_few_pods_cost_no_read_of_the_lock_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def table(*_: object) -> None:
        pytest.fail("the lock table was read")

    monkeypatch.setattr(walk, "FEW", 2)
    monkeypatch.setattr(walk, "exclusively_locked", table)
    with ExitStack() as stack:
        make(str(tmp_path), Directory.RUN, uuid_of(1))
        stack.enter_context(locked(make(str(tmp_path), Directory.RUN, uuid_of(2))))
        assert dict(scan(str(tmp_path))) == {uuid_of(1): State.EXITED, uuid_of(2): State.RUNNING}


@pytest.fixture(params=["lock table", "probes"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to find out about locks; each must give every answer."""
    if request.param == "probes":
        monkeypatch.setattr(listing, "locks_are_whole", lambda fd: False)
    return str(request.param)


def one_of_each(data_dir: str, stack: ExitStack) -> dict[str, State]:
    """A pod in each directory, locked and not."""
    expected = {}
    number = 0
    for directory in Directory:
        for cell in (0, 1):
            number += 1
            path = make(data_dir, directory, uuid_of(number), pod=MANIFEST)
            if cell == 0:
                stack.enter_context(locked(path))
            expected[uuid_of(number)] = STATES[directory][cell]
    return expected


def test_every_state_is_told_right(data_dir: str, how: str) -> None:
    with ExitStack() as stack:
        expected = one_of_each(data_dir, stack)
        assert dict(scan(data_dir)) == expected
        assert len(scan(data_dir)) == len(expected)


@pytest.mark.parametrize("include", range(INCLUDE_ALL_DIRS + 1))
def test_only_the_directories_asked_for(data_dir: str, include: int) -> None:
    for number, directory in enumerate(Directory):
        make(data_dir, directory, uuid_of(number))
    wanted = {uuid_of(list(Directory).index(directory)) for directory in included(include)}
    assert {uuid for uuid, _ in scan(data_dir, include)} == wanted


def test_walking_gives_pods_in_order_and_closes_each(data_dir: str, how: str) -> None:
    seen: list[Pod] = []

    def visit(pod: Pod | BrokenPod) -> None:
        assert isinstance(pod, Pod)
        assert pod.pod_manifest()[0] == MANIFEST
        if seen:
            assert seen[-1]._closed
        seen.append(pod)

    with ExitStack() as stack:
        expected = one_of_each(data_dir, stack)
        walk_pods(data_dir, INCLUDE_ALL_DIRS, visit)
    assert [(pod.uuid, pod.state()) for pod in seen] == sorted(expected.items())


def test_what_the_visitor_raises_is_raised_and_leaves_nothing_open(data_dir: str) -> None:
    make(data_dir, Directory.RUN)
    before = os.listdir("/proc/self/fd")

    def visit(pod: Pod | BrokenPod) -> None:
        assert isinstance(pod, Pod)
        pod.fd()
        raise KeyError(pod.uuid)

    with pytest.raises(KeyError):
        walk_pods(data_dir, INCLUDE_ALL_DIRS, visit)
    assert os.listdir("/proc/self/fd") == before


def test_a_walk_opens_no_pod_that_is_not_read(data_dir: str) -> None:
    for number in range(50):
        make(data_dir, Directory.RUN, uuid_of(number))
    before = len(os.listdir("/proc/self/fd"))
    for pod in pods(data_dir):
        assert isinstance(pod, Pod)
        assert pod.state() is State.EXITED
        assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_no_pod_is_handed_over(data_dir: str, how: str, capfd: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        make(data_dir, Directory.RUN, uuid_of(number))
    names = {
        "lost+found": "the name is not a UUID",
        "x" * 36: "the name is not a UUID",
        UUID[:-1]: "the name is not a UUID",
        UUID.upper(): "the name is a UUID, but not in lower case with dashes",
        UUID.replace("-", ""): "the name is a UUID, but not in lower case with dashes",
        "-" + UUID.replace("-", "") + "---": "the name is a UUID, but not in lower case with dashes",
    }
    run = Path(data_dir, "pods/run")
    for name in names:
        (run / name).mkdir()
    (run / uuid_of(3)).touch()
    (run / uuid_of(4)).symlink_to(run / uuid_of(1))
    names[uuid_of(3)] = names[uuid_of(4)] = "not a directory"
    everything = list(pods(data_dir))
    broken = {entry.name: entry for entry in everything if isinstance(entry, BrokenPod)}
    assert {name: entry.reason for name, entry in broken.items()} == names
    assert {entry.directory for entry in broken.values()} == {Directory.RUN}
    assert [entry.uuid for entry in everything if isinstance(entry, Pod)] == [uuid_of(1), uuid_of(2)]
    assert {uuid for uuid, _ in scan(data_dir)} == {uuid_of(1), uuid_of(2)}
    assert capfd.readouterr() == ("", "")


def test_thousands_with_strangers_in_between(data_dir: str, how: str) -> None:
    run = Path(data_dir, "pods/run")
    run.mkdir(parents=True)
    for number in range(3000):
        (run / uuid_of(number)).mkdir()
    for number in range(0, 3000, 250):
        (run / f"{number}").mkdir()
        (run / f"stranger-of-thirty-six-characters-{number % 100:02}").mkdir(exist_ok=True)
    broken: list[BrokenPod] = []
    with locked(str(run / uuid_of(1234))):
        found = dict(scan(data_dir, INCLUDE_ALL_DIRS, broken.append))
    assert len(found) == 3000
    assert found.pop(uuid_of(1234)) is State.RUNNING
    assert set(found.values()) == {State.EXITED}
    assert len(broken) == 12 + 2


def test_nothing_is_made_and_nothing_is_there(data_dir: str) -> None:
    assert scan(data_dir) == []
    walk_pods(data_dir, INCLUDE_ALL_DIRS, pytest.fail)
    assert not os.path.exists(data_dir)


def test_a_directory_that_cannot_be_listed_is_an_error(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(data_dir, Directory.RUN)

    def deny(fd: int) -> None:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(listing, "read_entries", deny)
    with pytest.raises(PermissionDenied):
        scan(data_dir)


def test_names_found_twice_are_one_pod_where_it_is_found_first(data_dir: str, how: str) -> None:
    make(data_dir, Directory.PREPARED)
    with locked(make(data_dir, Directory.RUN)):
        assert scan(data_dir) == [(UUID, State.PREPARED)]
        # Left out: it was found where nobody asked.
        assert scan(data_dir, INCLUDE_RUN_DIR) == [(UUID, State.RUNNING)]


@pytest.mark.parametrize("source", list(Directory)[:-1])
def test_a_pod_that_moves_during_the_listing_is_found_once(
    data_dir: str, monkeypatch: pytest.MonkeyPatch, source: Directory, how: str
) -> None:
    """After its directory was listed it moves on, to one that is listed next."""
    order = list(Directory)
    target = order[order.index(source) + 1]
    make(data_dir, source)
    os.makedirs(f"{data_dir}/pods/{target}")
    list_directory = walk.list_directory

    def list_and_move(data: str, directory: Directory, report: object) -> listing.Listing:
        result = list_directory(data, directory, report)  # type: ignore[arg-type]
        if directory is source:
            os.rename(f"{data_dir}/pods/{source}/{UUID}", f"{data_dir}/pods/{target}/{UUID}")
        return result

    monkeypatch.setattr(walk, "list_directory", list_and_move)
    assert scan(data_dir) == [(UUID, STATES[target][1])]


@pytest.mark.parametrize("directory", [Directory.PREPARE, Directory.EXITED_GARBAGE, Directory.GARBAGE])
def test_an_unlocked_pod_that_has_left_was_not_what_its_directory_says(
    data_dir: str, monkeypatch: pytest.MonkeyPatch, directory: Directory
) -> None:
    """Listed in ``prepare`` while it was preparing, it is prepared and unlocked when the locks are read."""
    path = make(data_dir, directory)
    os.makedirs(f"{data_dir}/pods/prepared", exist_ok=True)
    read = walk.exclusively_locked

    def leave_and_read(device: int, among: object) -> tuple[dict[int, int], bool]:
        if directory is Directory.PREPARE:
            os.rename(path, f"{data_dir}/pods/prepared/{UUID}")
        else:
            os.rmdir(path)
        return read(device, None)

    monkeypatch.setattr(walk, "exclusively_locked", leave_and_read)
    monkeypatch.setattr(listing, "locks_are_whole", lambda fd: True)
    assert scan(data_dir) == ([(UUID, State.PREPARED)] if directory is Directory.PREPARE else [])


def test_an_ended_pod_that_is_being_deleted_when_the_locks_are_read_is_not_running(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(data_dir, Directory.RUN)
    os.makedirs(f"{data_dir}/pods/exited-garbage")
    read = walk.exclusively_locked
    with ExitStack() as stack:

        def mark_lock_and_read(device: int, among: object) -> tuple[dict[int, int], bool]:
            new = f"{data_dir}/pods/exited-garbage/{UUID}"
            os.rename(path, new)
            stack.enter_context(locked(new))
            return read(device, None)

        monkeypatch.setattr(walk, "exclusively_locked", mark_lock_and_read)
        monkeypatch.setattr(listing, "locks_are_whole", lambda fd: True)
        assert scan(data_dir) == [(UUID, State.EXITED_DELETING)]


def test_an_inode_that_was_given_to_another_pod_is_not_taken_for_the_old_one(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(data_dir, Directory.RUN)
    inode = os.stat(path).st_ino

    def delete_and_tell(device: int, among: object) -> tuple[dict[int, int], bool]:
        shutil.rmtree(path)
        return {inode: 1}, True

    monkeypatch.setattr(walk, "exclusively_locked", delete_and_tell)
    monkeypatch.setattr(listing, "locks_are_whole", lambda fd: True)
    assert scan(data_dir) == []


@pytest.mark.parametrize("fails", [False, True])
def test_where_the_lock_table_does_not_settle_the_unlisted_are_probed(
    data_dir: str, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    def unsettled(device: int, among: object) -> tuple[dict[int, int], bool]:
        if fails:
            raise OSError(5, "no table")
        return {os.stat(paths[0]).st_ino: 1}, False

    monkeypatch.setattr(walk, "exclusively_locked", unsettled)
    monkeypatch.setattr(listing, "locks_are_whole", lambda fd: True)
    paths = [make(data_dir, Directory.RUN, uuid_of(number)) for number in range(3)]
    with locked(paths[0]), locked(paths[1]):
        assert sorted(scan(data_dir)) == [
            (uuid_of(0), State.RUNNING),
            (uuid_of(1), State.RUNNING),
            (uuid_of(2), State.EXITED),
        ]


def test_a_pod_that_turns_out_broken_when_it_is_looked_at_alone(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(data_dir, Directory.RUN)
    make(data_dir, Directory.RUN, uuid_of(1))
    monkeypatch.setattr(listing, "locks_are_whole", lambda fd: False)
    list_directory = walk.list_directory

    def list_and_spoil(data: str, directory: Directory, report: object) -> listing.Listing:
        result = list_directory(data, directory, report)  # type: ignore[arg-type]
        if directory is Directory.RUN:
            os.rmdir(path)
            Path(path).touch()
        return result

    monkeypatch.setattr(walk, "list_directory", list_and_spoil)
    broken: list[BrokenPod] = []
    assert scan(data_dir, INCLUDE_ALL_DIRS, broken.append) == [(uuid_of(1), State.EXITED)]
    assert [entry.name for entry in broken] == [UUID]
    assert broken[0] == BrokenPod(UUID, Directory.RUN, broken[0].reason)
