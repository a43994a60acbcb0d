"""Ranges of owners: whose they are, and that no two pods ever have the same."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from carob.engine.prepare import ranges
from carob.engine.prepare.ranges import DEFAULT, Ranges, of_this_host
from carob.errors import InvalidInput, OutOfResources
from carob.pod import new_pod


def claims(directory: Path) -> list[tuple[int, int]]:
    found = [name.split("-") for name in os.listdir(directory)]
    return sorted((int(first), int(count)) for first, count in found)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(tmp_path / "data")


def test_ranges_of_any_size_fill_the_gaps_and_never_overlap(tmp_path: Path, data: str) -> None:
    some = Ranges([(1000, 100), (5000, 50)], str(tmp_path / "owners"))
    with new_pod(data) as pod:
        sizes = (60, 30, 30, 20, 10)
        assert [some.claim(data, str(pod.uuid), size) for size in sizes] == [1000, 1060, 5000, 5030, 1090]
        with pytest.raises(OutOfResources, match=r"no 1 owners are left.*pods have 150 of 150"):
            some.claim(data, str(pod.uuid), 1)
    assert claims(tmp_path / "owners") == [(1000, 60), (1060, 30), (1090, 10), (5000, 30), (5030, 20)]


def test_a_range_is_a_pods_while_that_is_there_and_has_not_ended(tmp_path: Path, data: str) -> None:
    some = Ranges([(1000, 10)], str(tmp_path / "owners"))
    with new_pod(data) as pod:
        uuid = str(pod.uuid)
        some.claim(data, uuid, 10)
        with pytest.raises(OutOfResources):  # preparing
            some.claim(data, uuid, 1)
        pod.to_prepared()
    with pytest.raises(OutOfResources):
        some.claim(data, uuid, 1)
    os.rename(f"{data}/pods/prepared/{uuid}", f"{data}/pods/run/{uuid}")  # exited: nobody holds it
    assert some.claim(data, uuid, 4) == 1000
    shutil.rmtree(f"{data}/pods/run/{uuid}")
    some.sweep()
    assert claims(tmp_path / "owners") == []


def test_who_is_killed_while_preparing_a_pod_holds_nothing(tmp_path: Path, data: str) -> None:
    some = Ranges([(1000, 10)], str(tmp_path / "owners"))
    process = multiprocessing.get_context("fork").Process(target=_claim_and_die, args=(some.directory, data))
    process.start()
    process.join()
    process.close()
    assert claims(tmp_path / "owners") == [(1000, 10)]
    with new_pod(data) as pod:
        assert some.claim(data, str(pod.uuid), 10) == 1000


def _claim_and_die(directory: str, data: str) -> None:
    pod = new_pod(data)
    Ranges([(1000, 10)], directory).claim(data, str(pod.uuid), 10)
    os.kill(os.getpid(), 9)


def test_it_is_given_back(tmp_path: Path, data: str) -> None:
    some = Ranges([(1000, 10)], str(tmp_path / "owners"))
    with new_pod(data) as one, new_pod(data) as other:
        for pod in (one, other):
            some.claim(data, str(pod.uuid), 5)
        some.release(data, str(one.uuid))
        assert claims(tmp_path / "owners") == [(1005, 5)]


def test_a_prepared_pod_has_its_range_again_unless_another_has_it_now(tmp_path: Path, data: str) -> None:
    some = Ranges([(1000, 10)], str(tmp_path / "owners"))
    with new_pod(data) as pod, new_pod(data) as other:
        uuid = str(pod.uuid)
        some.claim(data, uuid, 5)
        assert some.renew(data, uuid, 1000, 5)
        some.release(data, uuid)
        assert some.renew(data, uuid, 1000, 5)
        assert claims(tmp_path / "owners") == [(1000, 5)]
        some.release(data, uuid)
        some.claim(data, str(other.uuid), 7)
        assert not some.renew(data, uuid, 1000, 5)
        shutil.rmtree(other.path())
        assert some.renew(data, uuid, 1000, 5)
        assert claims(tmp_path / "owners") == [(1000, 5)]


def test_a_hundred_racers_get_a_hundred_ranges(tmp_path: Path, data: str) -> None:
    directory, racers, each = str(tmp_path / "owners"), 10, 10
    gate = os.pipe()
    processes = [
        multiprocessing.get_context("fork").Process(target=_race, args=(directory, data, each, gate))
        for _ in range(racers)
    ]
    for process in processes:
        process.start()
    for end in gate:
        os.close(end)
    for process in processes:
        process.join()
        process.close()
    found = claims(tmp_path / "owners")
    assert len(found) == racers * each
    assert all(first + count <= after for (first, count), (after, _) in pairwise(found))


def _race(directory: str, data: str, each: int, gate: tuple[int, int]) -> None:
    some = Ranges([(0x70000000, 100 * 300)], directory)
    os.close(gate[1])
    os.read(gate[0], 1)  # its end comes with the last of them
    for place in range(each):
        with new_pod(data) as pod:
            some.claim(data, str(pod.uuid), 100 + 20 * place)
            pod.to_prepared(durable=False)


# --- the host's ranges ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subuid", "subgid", "spans"),
    [
        (None, None, [DEFAULT]),
        ("alice:100000:65536\n", "alice:100000:65536\n", [DEFAULT]),
        ("containers:1000:500\n", "containers:1000:500\n", [(1000, 500)]),
        ("containers:1:9\ncarob:1000:500\n", "carob:1000:500\n", [(1000, 500)]),
        ("carob:1000:500\ncarob:9000:10\n", "carob:1200:9000\n", [(1200, 300), (9000, 10)]),
    ],
)
def test_ranges_are_what_both_files_give(
    tmp_path: Path, subuid: str | None, subgid: str | None, spans: list[tuple[int, int]]
) -> None:
    for name, text in (("subuid", subuid), ("subgid", subgid)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert list(of_this_host(str(tmp_path)).spans) == spans


def test_one_file_alone_is_an_error_that_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "subuid").write_text("carob:1000:500\n")
    with pytest.raises(InvalidInput, match="no numbers in common") as raised:
        of_this_host(str(tmp_path))
    assert "carob:" in raised.value.hint


def test_the_default_is_below_what_some_programs_take_for_negative() -> None:
    first, count = ranges.DEFAULT
    assert first + count <= 1 << 31
    assert first % 65536 == count % 65536 == 0


def test_pods_that_are_removed_at_once_give_back_all_that_they_had(tmp_path: Path, data: str) -> None:
    some = Ranges([], str(tmp_path))
    for at in range(400):
        os.symlink(f"{data}/pod-{at % 8}", tmp_path / f"{1000 + at}-1")
    threads = [threading.Thread(target=some.release, args=(data, f"pod-{pod}")) for pod in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert claims(tmp_path) == []
