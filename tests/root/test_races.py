from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carob import App, CarobError, Engine, Exited, Mount, PodHandle
from carob.pod import INCLUDE_MOST_DIRS, BrokenPod, pods
from tests.root import host_view, steps

SOON_S = 60
FOREVER = App("busybox", ["sleep", "1000"])


def race(*works: Callable[[], object]) -> list[str]:
    """Do all `works`, each in a process of its own, from the same moment on; return what came of each.

    That is ``done`` or the name of an error of carob's. Any other error fails the test.
    """
    reading, writing = os.pipe()
    start, gate = os.pipe()
    children = []
    for number, work in enumerate(works):
        child = os.fork()
        if child == 0:
            os.close(gate)
            os.read(start, 1)
            try:
                work()
                said = "done"
            except CarobError as error:
                said = type(error).__name__
            except BaseException as error:
                sys.excepthook(type(error), error, error.__traceback__)
                said = repr(error).replace("\n", " ")
            os.write(writing, f"{number} {said}\n".encode())
            os._exit(0)
        children.append(child)
    os.close(writing)
    os.close(start)
    os.close(gate)  # they are off
    try:
        with os.fdopen(reading) as pipe:
            told = [line.rstrip("\n").split(" ", 1) for line in pipe]
    finally:
        for child in children:
            os.waitpid(child, 0)
    said = [what for _, what in sorted(told, key=lambda one: int(one[0]))]
    assert len(said) == len(works)
    known = {"done", "LostRace", "Conflict", "NotFound", "PodAlive", "Unavailable", "TimedOut"}
    assert set(said) <= known, said
    return said


def state(pod: PodHandle) -> str:
    return str(pod.status().state)


def noting(directory: Path, script: str = "") -> App:
    """An app that leaves a line in `directory` when it runs."""
    directory.mkdir(exist_ok=True)
    return App(
        "busybox", ["sh", "-c", f"echo ran >>/notes/runs; {script}"], mounts=[Mount(directory, "/notes")]
    )


def runs(directory: Path) -> int:
    return len(host_view.read(directory / "runs").splitlines())


# --- run ------------------------------------------------------------------------------------------


def test_of_64_that_run_a_prepared_pod_one_does(engine: Engine, tmp_path: Path) -> None:
    pod = engine.prepare(noting(tmp_path / "notes"))
    said = Counter(race(*[pod.run] * 64))
    assert said["done"] == 1
    assert set(said) <= {"done", "LostRace", "Conflict"}
    assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
    assert runs(tmp_path / "notes") == 1
    steps.supervisors_settle(engine.data_dir)
    pod.remove()
    host_view.nothing_left(engine.data_dir, pod.uuid)


def test_losers_know_that_they_lost_while_the_winner_runs_on(engine: Engine) -> None:
    pod = engine.prepare(FOREVER)
    said = Counter(race(*[pod.run] * 8))
    assert said["done"] == 1
    assert state(pod) == "running"
    assert Counter(race(*[pod.run] * 8)) == {"Conflict": 8}
    steps_settled = {
        host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), w) for w in ("init", "monitor")
    }
    host_view.eventually(
        "the losers' supervisors end", lambda: set(host_view.supervisors_of(engine.data_dir)) == steps_settled
    )
    assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"


@pytest.mark.parametrize("attempt", range(4))
def test_run_against_remove_against_gc(engine: Engine, tmp_path: Path, attempt: int) -> None:
    pod = engine.prepare(noting(tmp_path / "notes", "sleep 0.05"))

    def collect() -> None:
        problems = engine.gc(grace_s=0, expire_prepared_s=0).problems
        assert problems == []

    works: list[Callable[[], object]] = [pod.run, pod.remove, collect] * 6
    for _ in range(attempt):
        works.append(works.pop(0))
    said = race(*works)
    ran = [what for work, what in zip(works, said, strict=True) if work == pod.run]
    collected = [what for work, what in zip(works, said, strict=True) if work is collect]
    assert ran.count("done") <= 1
    assert set(collected) == {"done"}
    assert runs(tmp_path / "notes") == ran.count("done")
    steps.supervisors_settle(engine.data_dir)
    assert engine.gc(grace_s=0, expire_prepared_s=0).problems == []
    host_view.nothing_left(engine.data_dir, pod.uuid)
    if ran.count("done"):
        assert engine.handle(pod.uuid).wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}


# --- the end --------------------------------------------------------------------------------------


def test_eight_stops_at_once(engine: Engine) -> None:
    for app, end in (
        (FOREVER, None),
        (
            App("busybox", ["sh", "-c", "trap 'exit 4' TERM; echo r; while :; do sleep 1 & wait; done"]),
            Exited(4),
        ),
    ):
        with engine.run(app) as pod:
            if end is not None:
                host_view.eventually("the trap is set", lambda pod=pod: pod.logs().text() == "r\n")
            assert race(*[pod.stop] * 8) == ["done"] * 8
            assert state(pod) == "exited"
            assert end is None or pod.status().app("busybox").end == end


def test_stop_kill_and_remove_at_once(engine: Engine) -> None:
    for _ in range(3):
        pod = engine.run(FOREVER)
        inside = host_view.Inside(
            host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init")
        )
        remove = lambda pod=pod: pod.remove(force=True)  # noqa: E731
        said = race(
            pod.stop, pod.kill, remove, lambda: engine.gc(grace_s=0), pod.stop, pod.kill, remove, pod.wait
        )
        assert set(said) <= {"done", "LostRace", "NotFound", "Conflict", "PodAlive"}, said
        pod.remove(force=True)
        host_view.nothing_left(engine.data_dir, pod.uuid, inside)


def test_sixteen_removals_of_ended_pods(engine: Engine) -> None:
    for _ in range(3):
        pod = engine.run(App("busybox", ["true"]))
        pod.wait(timeout_s=SOON_S)
        said = race(*[pod.remove] * 8, *[lambda: engine.gc(grace_s=0)] * 8)
        assert said == ["done"] * 16  # whoever takes it away, it is gone
        host_view.nothing_left(engine.data_dir, pod.uuid)
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}


def test_a_pod_that_gc_marks_meanwhile_is_removed_all_the_same(engine: Engine) -> None:
    over = threading.Event()
    collector = threading.Thread(target=lambda: [engine.gc(grace_s=1800) for _ in iter(over.is_set, True)])
    collector.start()
    try:
        for number in range(12):
            with engine.run(App("busybox", ["sh", "-c", f"exit {number}"])) as pod:
                assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(number)}
            assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(number)}, "the record tells it still"
    finally:
        over.set()
        collector.join()
    assert host_view.pod_directories(engine.data_dir) == []


def test_pods_that_start_and_end_at_once_are_each_whole(engine: Engine) -> None:
    def one(number: int) -> None:
        with engine.run(App("busybox", ["sh", "-c", f"echo {number}; exit {number}"])) as pod:
            end = pod.wait(timeout_s=SOON_S)
            assert end.apps == {"busybox": Exited(number)}
            assert pod.logs().text() == f"{number}\n"

    said = race(
        *[lambda number=number: one(number) for number in range(12)], *[lambda: engine.gc(grace_s=1000)] * 4
    )
    assert said == ["done"] * 16
    assert host_view.pod_directories(engine.data_dir) == []
    steps.supervisors_settle(engine.data_dir)


# --- looking --------------------------------------------------------------------------------------

LIVE, ENDED = 1000, 200


@contextlib.contextmanager
def child_that(work: Callable[[int], None]) -> Iterator[None]:
    """Do `work` in a process that is killed at the end; it writes to what it is given when ready."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work(writing)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)
    try:
        os.close(writing)
        assert os.read(reading, 1) == b"x", "the child could not do its work"
        yield
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def hold_locks(paths: list[str]) -> Callable[[int], None]:
    def hold(ready: int) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for path in paths:
            fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)
        os.write(ready, b"x")
        signal.pause()

    return hold


def churn(paths: list[str]) -> Callable[[int], None]:
    """Take and drop locks as fast as can be, so that the table of locks is never the same twice."""

    def work(ready: int) -> None:
        descriptors = [os.open(path, os.O_RDONLY) for path in paths]
        os.write(ready, b"x")
        while True:
            for at, descriptor in enumerate(descriptors):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                fcntl.flock(descriptors[at - len(descriptors) // 2], fcntl.LOCK_UN)

    return work


def test_a_thousand_live_pods_are_listed_right_with_locks_churning_beside_them(
    engine: Engine, tmp_path: Path
) -> None:
    model = engine.run(App("busybox", ["true"]))
    model.wait(timeout_s=SOON_S)
    top = Path(engine.data_dir, "pods/run")
    manifest = (top / model.uuid / "pod").read_bytes()
    made = [str(uuid.uuid4()) for _ in range(LIVE + ENDED)]
    for name in made:
        (top / name).mkdir()
        (top / name / "pod").write_bytes(manifest)
    live, ended = made[:LIVE], {*made[LIVE:], model.uuid}
    others = [tmp_path / f"other-{number}" for number in range(300)]
    for path in others:
        path.mkdir()
    real = [engine.run(FOREVER) for _ in range(2)]
    expected = dict.fromkeys((*live, *(pod.uuid for pod in real)), "running") | dict.fromkeys(ended, "exited")
    with (
        child_that(hold_locks([str(top / name) for name in live])),
        child_that(churn([str(path) for path in others])),
        child_that(coming_and_going(engine)),
    ):
        for number in range(60):
            found: dict[str, str] = {}
            for pod in pods(engine.data_dir, INCLUDE_MOST_DIRS):
                assert not isinstance(pod, BrokenPod)
                found[pod.uuid] = str(pod.state())
            assert {name: seen for name, seen in found.items() if name in expected} == expected, (
                f"look {number}"
            )
        listed = {status.uuid: str(status.state) for status in engine.list()}
        assert {name: seen for name, seen in listed.items() if name in expected} == expected
    for name in made:
        shutil.rmtree(top / name)


def coming_and_going(engine: Engine) -> Callable[[int], None]:
    """Pods that are prepared, run and removed meanwhile."""

    def work(ready: int) -> None:
        os.write(ready, b"x")
        while True:
            with engine.run(App("busybox", ["true"]), tied=True) as pod:
                pod.wait()

    return work


def test_states_are_true_while_pods_go_through_all_of_them(engine: Engine) -> None:
    """No look at pods on their way shows an impossible state, or raises."""
    with child_that(coming_and_going(engine)), child_that(coming_and_going(engine)):
        for _ in range(150):
            for status in engine.list():
                assert str(status.state) in {
                    "preparing",
                    "prepared",
                    "running",
                    "exited",
                    "exited garbage",
                    "exited deleting",
                    "gone",
                    "aborted prepare",
                }, status
                if str(status.state) == "exited":
                    assert all(app.end is not None for app in status.apps), status
        json.dumps([status.uuid for status in engine.list()])
    steps.supervisors_settle(engine.data_dir)
