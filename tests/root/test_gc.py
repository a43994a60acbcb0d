from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from carob import App, Engine, Exited, PodHandle
from carob.errors import NotFound
from tests.root import host_view, steps

SOON_S = 60
FOREVER = App("busybox", ["sleep", "1000"])
BRIEF = App("busybox", ["true"])
DAY_S = 86400.0


def ended(engine: Engine) -> PodHandle:
    pod = engine.run(BRIEF)
    pod.wait(timeout_s=SOON_S)
    return pod


def state(pod: PodHandle) -> str:
    return str(pod.status().state)


def where(engine: Engine, uuid: str) -> str:
    return host_view.pod_directory(engine.data_dir, uuid).parent.name


def test_ended_pod_is_marked_and_deleted_after_the_grace(engine: Engine) -> None:
    pod = ended(engine)
    first = engine.gc(grace_s=1000)
    assert (first.marked, first.deleted, first.problems) == ([pod.uuid], [], [])
    assert state(pod) == "exited garbage"
    assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
    second = engine.gc(grace_s=1000)
    assert (second.marked, second.deleted) == ([], [])
    third = engine.gc(grace_s=0)
    assert (third.marked, third.deleted, third.problems) == ([], [pod.uuid], [])
    host_view.nothing_left(engine.data_dir, pod.uuid)
    assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}


def test_mark_only(engine: Engine) -> None:
    pod, waiting = ended(engine), engine.prepare(BRIEF)
    collection = engine.gc(grace_s=0, expire_prepared_s=0, mark_only=True)
    assert (collection.marked, collection.deleted) == ([pod.uuid], [])
    assert state(pod) == "exited garbage"
    assert state(waiting) == "prepared"


def test_prepared_pod_expires(engine: Engine) -> None:
    pod = engine.prepare(FOREVER)
    kept = engine.gc(grace_s=0, expire_prepared_s=DAY_S)
    assert (kept.discarded, kept.deleted) == ([], [])
    assert state(pod) == "prepared"
    collection = engine.gc(grace_s=0, expire_prepared_s=0)
    assert collection.deleted == [pod.uuid]
    assert collection.problems == []
    host_view.nothing_left(engine.data_dir, pod.uuid)
    with pytest.raises(NotFound):
        pod.wait(timeout_s=SOON_S)


def test_aborted_prepare_is_collected_at_once(engine: Engine) -> None:
    number = 0
    while "prepare" not in {path.parent.name for path in host_view.pod_directories(engine.data_dir)}:
        number += 1
        assert steps.in_child(lambda: engine.prepare(FOREVER), number + 8)
    (uuid,) = [
        path.name for path in host_view.pod_directories(engine.data_dir) if path.parent.name == "prepare"
    ]
    assert state(engine.get(uuid)) == "aborted prepare"
    collection = engine.gc()
    assert uuid in collection.deleted
    assert collection.problems == []
    host_view.nothing_left(engine.data_dir, uuid)


def test_pod_that_runs_or_is_being_prepared_is_left_alone(engine: Engine) -> None:
    running = [engine.run(FOREVER), engine.run(FOREVER, overlay=False)]
    gone = [ended(engine), ended(engine)]
    collection = engine.gc(grace_s=0, expire_prepared_s=0)
    assert set(collection.deleted) == {pod.uuid for pod in gone}
    assert collection.problems == []
    for pod in running:
        assert state(pod) == "running"
        assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"
        assert host_view.cgroups(pod.uuid) != []


def test_pods_start_run_and_end_while_collections_go_on(engine: Engine) -> None:
    over = threading.Event()
    problems: list[str] = []

    def collect() -> None:
        while not over.is_set():
            problems.extend(engine.gc(grace_s=1000, expire_prepared_s=DAY_S).problems)

    threads = [threading.Thread(target=collect) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(12):
            pod = engine.run(App("busybox", ["sh", "-c", f"echo hi; exit {number}"]))
            assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(number)}
            assert pod.logs().text() == "hi\n"
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert problems == []


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff\0 no json",
        b"",
        b"{",
        b"[1",
        b'{"apps":5,"annotations":7}',
        b'{"apps":[{"name":"a","image":"s"}]}',
    ],
)
def test_corrupted_pod_is_reported_and_passed_over(engine: Engine, rubbish: bytes) -> None:
    pods = [ended(engine) for _ in range(3)]
    top = Path(engine.data_dir, "pods")
    (top / "exited-garbage").mkdir(exist_ok=True)
    (top / "run/not-a-uuid").mkdir()
    (top / "exited-garbage" / "00000000-0000-4000-8000-000000000001").write_text("a file, not a directory")
    broken = host_view.pod_directory(engine.data_dir, pods[1].uuid)
    for name in ("pod", "carob/plan.json", "carob/supervisor.json", "carob/end.json", "pid", "ppid"):
        (broken / name).write_bytes(rubbish)
    assert len(engine.list()) == 3
    engine.images.gc()
    try:
        collection = engine.gc(grace_s=0)
        assert set(collection.deleted) == {pod.uuid for pod in pods}
        assert len(collection.problems) == 2
        assert any("not-a-uuid" in line for line in collection.problems)
        assert any("00000000-0000-4000-8000-000000000001" in line for line in collection.problems)
        assert len(engine.gc(grace_s=0).problems) == 2
    finally:
        (top / "run/not-a-uuid").rmdir()
        (top / "exited-garbage" / "00000000-0000-4000-8000-000000000001").unlink()
    assert engine.gc(grace_s=0).problems == []


def test_what_is_mounted_in_a_pod_is_not_deleted_and_stops_no_other(engine: Engine, tmp_path: Path) -> None:
    held, other = ended(engine), ended(engine)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("x")
    place = host_view.pod_directory(engine.data_dir, held.uuid) / "carob/logs"
    subprocess.run(["mount", "--bind", victim, place], check=True)
    try:
        collection = engine.gc(grace_s=0)
        assert collection.deleted == [other.uuid]
        assert [held.uuid in line for line in collection.problems] == [True]
        assert "mount" in collection.problems[0]
        assert (victim / "precious").read_text() == "x"
    finally:
        place = host_view.pod_directory(engine.data_dir, held.uuid) / "carob/logs"
        subprocess.run(["umount", place], check=True)
    collection = engine.gc(grace_s=0)
    assert (collection.deleted, collection.problems) == ([held.uuid], [])
    assert (victim / "precious").read_text() == "x"


def test_collection_killed_at_every_step_is_gone_on_with(engine: Engine) -> None:
    number, whole = 0, False
    while not whole:
        number += 1
        pods = [ended(engine)] if number % 2 else [ended(engine), engine.prepare(BRIEF)]
        whole = not steps.in_child(lambda: engine.gc(grace_s=0, expire_prepared_s=0), number * 3)
        for status in engine.list():
            assert str(status.state) in ("prepared", "exited", "exited garbage"), status
        assert engine.gc(grace_s=0, expire_prepared_s=0).problems == []
        for pod in pods:
            host_view.nothing_left(engine.data_dir, pod.uuid)
        assert pods[0].wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
    assert number > 10


def test_groups_that_a_dead_monitor_left_are_removed(engine: Engine) -> None:
    pod = engine.run(FOREVER)
    top = host_view.pod_directory(engine.data_dir, pod.uuid)
    pids = [host_view.keeper(top, which) for which in ("monitor", "init")]
    for pid in pids:
        os.kill(pid, 9)
    for pid in pids:
        host_view.wait_gone(pid)
    assert host_view.cgroups(pod.uuid) != []
    assert engine.gc(grace_s=1000).problems == []
    assert engine.gc(grace_s=0).deleted == [pod.uuid]
    host_view.nothing_left(engine.data_dir, pod.uuid)


def test_record_of_an_end_is_kept_and_expires(engine: Engine) -> None:
    pod = ended(engine)
    engine.gc(grace_s=0)
    record = Path(engine.data_dir, "ended", f"{pod.uuid}.json")
    assert json.loads(record.read_text())["uuid"] == pod.uuid
    engine.gc(grace_s=0)
    assert record.exists()
    os.utime(record, (0, 0))
    engine.gc(grace_s=0)
    assert not record.exists()
    with pytest.raises(NotFound):
        pod.wait(timeout_s=SOON_S)
    with pytest.raises(NotFound):
        engine.get(pod.uuid)


def test_gone_pods_record_is_found_by_a_uuid_alone(engine: Engine, tmp_path: Path) -> None:
    """What is asked for is a name, never a path."""
    (tmp_path / "outside.json").write_text('{"uuid": "x", "apps": []}')
    Path(engine.data_dir, "ended").mkdir(exist_ok=True)
    for name in ("../../outside", f"../../{tmp_path.name}/outside", "", "."):
        with pytest.raises((NotFound, ValueError)):
            engine.get(name)
        with pytest.raises((NotFound, ValueError)):
            engine.handle(name).wait(timeout_s=1)
