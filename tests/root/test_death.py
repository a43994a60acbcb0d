from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from carob import App, CarobError, Engine, Exited, PodHandle, Unknown
from carob.errors import Conflict, TimedOut
from tests.needs import impossible_here
from tests.root import host_view, steps

SOON_S = 60
FOREVER = App("busybox", ["sleep", "1000"])
BRIEF = App("busybox", ["true"])
WAITS = App("busybox", ["sh", "-c", "mkfifo /tmp/go; echo ready; read go </tmp/go; exit 3"])
DYING = str(Path(__file__).with_name("dying_supervisor.py"))


def state(pod: PodHandle) -> str:
    return str(pod.status().state)


def keeper(engine: Engine, pod: PodHandle, which: str) -> int:
    return host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), which)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    host_view.wait_gone(pid)


def states_are_true(engine: Engine) -> None:
    """What the engine says agrees with the processes that there are, at this very moment."""
    for status in engine.list():
        if str(status.state) == "exited":
            # A dying init lets go of the lock some milliseconds before it is gone, and the status says so.
            if status.pid is not None:
                assert "processes of the pod are still there" in status.warnings
                host_view.wait_gone(status.pid)
            assert all(app.end is not None for app in status.apps)
        elif str(status.state) == "running" and status.pid is not None:
            # Seen alive an instant ago. If it has ended since, its monitor is about to let go of the lock.
            if not host_view.is_alive(status.pid):
                handle = engine.handle(status.uuid)
                host_view.eventually("its pod is over", lambda handle=handle: state(handle) != "running")
        elif str(status.state) in ("prepared", "aborted prepare"):
            assert status.pid is None


def collect_all(engine: Engine) -> None:
    """Kill what runs, collect it with the rest, and see that nothing is left of any pod."""
    uuids = [path.name for path in host_view.pod_directories(engine.data_dir)]
    for uuid in uuids:
        if state(engine.handle(uuid)) == "running":
            engine.handle(uuid).kill()
    collection = engine.gc(grace_s=0, expire_prepared_s=0)
    assert collection.problems == []
    for uuid in uuids:
        host_view.nothing_left(engine.data_dir, uuid)
    steps.supervisors_settle(engine.data_dir)


# --- of a pod that runs ---------------------------------------------------------------------------


def test_pod_outlives_its_monitor_and_its_end_is_known(engine: Engine) -> None:
    pod = engine.run(WAITS)
    inside = host_view.Inside(keeper(engine, pod, "init"))
    kill(keeper(engine, pod, "monitor"))
    assert state(pod) == "running"
    assert engine.gc(grace_s=0).deleted == []
    with pytest.raises(Conflict):
        pod.remove()
    host_view.eventually("the app waits", lambda: pod.logs().text() == "ready\n")
    # The pod ends of it, and does not wait until somebody has been told how the exec ended.
    pod.exec(["sh", "-c", "(sleep 0.2; echo >/tmp/go) </dev/null >/dev/null 2>&1 &"])
    end = pod.wait(timeout_s=SOON_S)
    assert (end.apps, end.outcome) == ({"busybox": Exited(3)}, "app failed")
    assert inside.survivors() == []
    assert engine.gc(grace_s=0).problems == []
    host_view.nothing_left(engine.data_dir, pod.uuid, inside)


def test_nothing_outlives_init(engine: Engine) -> None:
    script = "setsid sleep 1000 & (trap '' TERM; sleep 1000) & exec sleep 1000"
    pod = engine.run(
        App("busybox", ["sh", "-c", script], name="one"), App("busybox", ["sleep", "1000"], name="two")
    )
    with pod.start(["sleep", "1000"], app="two"):
        init = keeper(engine, pod, "init")
        inside = host_view.Inside(init)
        assert len(inside.survivors()) >= 5
        pidfd = os.pidfd_open(init)
        try:
            os.kill(init, signal.SIGKILL)
            end = pod.wait(timeout_s=SOON_S)
        finally:
            os.close(pidfd)
        assert inside.survivors() == []
    assert state(pod) == "exited"
    assert all(isinstance(one, Unknown) for one in end.apps.values())
    assert end.outcome == "killed"
    assert host_view.cgroups(pod.uuid) == [], "the monitor has cleaned up"
    pod.remove()
    host_view.nothing_left(engine.data_dir, pod.uuid, inside)


@pytest.mark.parametrize("order", [("monitor", "init"), ("init", "monitor")])
def test_both_are_killed(engine: Engine, order: tuple[str, str]) -> None:
    pod = engine.run(FOREVER, App("busybox", ["sleep", "1000"], name="two"))
    inside = host_view.Inside(keeper(engine, pod, "init"))
    pids = [keeper(engine, pod, which) for which in order]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        host_view.wait_gone(pid)
    assert inside.survivors() == []
    status = pod.status()
    assert str(status.state) == "exited"
    assert all(isinstance(app.end, Unknown) for app in status.apps)
    assert status.outcome in ("", "killed")
    assert engine.gc(grace_s=0).problems == []
    host_view.nothing_left(engine.data_dir, pod.uuid, inside)


def test_end_that_was_seen_before_init_died_is_kept(engine: Engine) -> None:
    pod = engine.run(App("busybox", ["true"], name="quick"), App("busybox", ["sleep", "1000"], name="slow"))
    host_view.eventually("one has ended", lambda: pod.status().app("quick").end)
    pids = [keeper(engine, pod, which) for which in ("monitor", "init")]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        host_view.wait_gone(pid)
    ends = pod.wait(timeout_s=SOON_S).apps
    assert ends["quick"] == Exited(0)
    assert isinstance(ends["slow"], Unknown)


def sleepers(init: int) -> list[int]:
    found = host_view.descendants(init)
    return [pid for pid in found if host_view.read(f"/proc/{pid}/comm").strip() == "sleep"]


def test_nothing_acts_on_an_ended_pod_before_init_is_gone(engine: Engine) -> None:
    """In a v1 hierarchy a frozen process does not die before it is thawed, and keeps init from ending.

    Here it is frozen by somebody else, as one that waits for a device cannot be killed either.
    """
    if not Path("/sys/fs/cgroup/freezer").exists():
        impossible_here("no freezer hierarchy of version 1")
    pod = engine.run(FOREVER)
    init = keeper(engine, pod, "init")
    inside = host_view.Inside(init)
    others = Path("/sys/fs/cgroup/freezer", f"carob-tests-{pod.uuid}")
    others.mkdir()
    sleeper = host_view.eventually("the app sleeps", lambda: sleepers(init))[0]
    Path(others, "cgroup.procs").write_text(str(sleeper))
    freezer = others / "freezer.state"
    freezer.write_text("FROZEN")
    try:
        host_view.eventually("it is frozen", lambda: freezer.read_text() == "FROZEN\n")
        kill(keeper(engine, pod, "monitor"))
        os.kill(init, signal.SIGKILL)
        host_view.eventually("the lock is free", lambda: state(pod) == "exited")
        assert host_view.is_alive(init)
        assert any("still there" in line for line in pod.status().warnings)
        with pytest.raises(TimedOut):
            pod.wait(timeout_s=0.05)
        collection = engine.gc(grace_s=0)
        assert (collection.marked, collection.deleted) == ([], [])
        assert state(pod) == "exited"
        from carob.engine.end import stop

        patience, stop._AFTER_KILL_S = stop._AFTER_KILL_S, 0.05
        try:
            with pytest.raises((Conflict, TimedOut)):
                pod.remove()
            with pytest.raises(TimedOut):
                pod.kill()
        finally:
            stop._AFTER_KILL_S = patience
        assert host_view.pod_directory(engine.data_dir, pod.uuid).parent.name == "run"
    finally:
        freezer.write_text("THAWED")
        host_view.eventually("nothing is in it", lambda: not Path(others, "cgroup.procs").read_text())
        others.rmdir()
    pod.wait(timeout_s=SOON_S)
    assert inside.survivors() == []
    assert engine.gc(grace_s=0).problems == []
    host_view.nothing_left(engine.data_dir, pod.uuid, inside)


def test_another_process_with_inits_number_is_not_taken_for_it(engine: Engine) -> None:
    """The number alone says nothing: the pod's end is not held up, and the stranger not killed."""
    import json
    import subprocess

    pod = engine.run(BRIEF)
    pod.wait(timeout_s=SOON_S)
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        path = host_view.pod_directory(engine.data_dir, pod.uuid) / "carob/supervisor.json"
        document = json.loads(path.read_text())
        for which in ("init", "monitor"):
            document[which]["pid"] = stranger.pid
        path.write_text(json.dumps(document))
        assert pod.status().pid is None
        assert pod.status().monitor_pid is None
        pod.kill()
        pod.stop()
        pod.wait(timeout_s=SOON_S)
        pod.remove(force=True)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_init_of_another_pod_with_inits_number_is_not_taken_for_it(engine: Engine) -> None:
    """It is PID 1 of a namespace, as the pod's own was; but it started at another time."""
    import json

    pod, other = engine.run(BRIEF), engine.run(App("busybox", ["sleep", "1000"]))
    pod.wait(timeout_s=SOON_S)
    path = host_view.pod_directory(engine.data_dir, pod.uuid) / "carob/supervisor.json"
    document = json.loads(path.read_text())
    document["init"]["pid"] = host_view.keeper(host_view.pod_directory(engine.data_dir, other.uuid), "init")
    path.write_text(json.dumps(document))
    pod.wait(timeout_s=20)
    assert engine.gc(grace_s=0).deleted == [pod.uuid]
    assert str(other.status().state) == "running"
    other.remove(force=True)


# --- while it starts and ends ---------------------------------------------------------------------


@pytest.mark.parametrize(("which", "stride"), [("monitor", 1), ("init", 3)])
def test_supervisor_killed_at_every_step_of_its_life(engine: Engine, which: str, stride: int) -> None:
    number = 1 - stride
    undisturbed = False
    outcomes = set()
    while not undisturbed:
        number += stride
        dying = Engine(engine.data_dir, launcher=("-S", DYING, which, str(number)))
        try:
            dying.run(BRIEF, timeout_s=SOON_S)
            outcomes.add("ran")
        except TimedOut:
            pytest.fail(f"step {number}: nobody told the caller")
        except CarobError as error:
            outcomes.add(type(error).__name__)
        steps.supervisors_settle(engine.data_dir)
        # The kernel takes a dying process's files from view before it closes the one with the lock.
        host_view.eventually(
            f"step {number}: no pod is locked",
            lambda: all(str(status.state) != "running" for status in engine.list()),
        )
        states_are_true(engine)
        for status in engine.list():  # one that did not come to run was taken away by its caller
            assert str(status.state) == "exited", f"step {number}: {status.state}"
            (app,) = status.apps
            assert app.end == Exited(0) or isinstance(app.end, Unknown)
            whole = app.end == Exited(0) and status.outcome == "finished"
            undisturbed = whole and not host_view.cgroups(status.uuid)
        collect_all(engine)
    assert number > 8
    assert outcomes >= {"ran", "Unavailable"}


def test_supervisors_killed_at_any_moment_of_a_start(engine: Engine) -> None:
    chance = random.Random(7)
    for attempt in range(12):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                engine.run(WAITS, App("busybox", ["true"], name="two"), timeout_s=SOON_S)
                status = 0
            except CarobError:
                status = 0
            finally:
                os._exit(status)
        supervisors = host_view.eventually(
            "a supervisor", lambda: host_view.own_supervisors_of(engine.data_dir)
        )
        time.sleep(chance.random() * 0.04)
        supervisors = set(host_view.own_supervisors_of(engine.data_dir)) | set(supervisors)
        for pid in chance.sample(sorted(supervisors), k=min(len(supervisors), 1 + attempt % 2)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        states_are_true(engine)
        _, status = os.waitpid(child, 0)
        assert status == 0
        states_are_true(engine)
        collect_all(engine)


def test_caller_killed_at_every_step_of_run(engine: Engine) -> None:
    for _ in steps.killed_at_every_step(lambda: engine.run(FOREVER), at_least=20):
        states_are_true(engine)
        settle_start(engine)
        states_are_true(engine)
        collect_all(engine)


def settle_start(engine: Engine) -> None:
    """Wait until what was begun has come to where it stays: a pod that runs, or no supervisor."""

    def settled() -> bool:
        if not host_view.supervisors_of(engine.data_dir):
            return True
        return any(status.ready for status in engine.list())

    host_view.eventually("the start is over", settled)


def test_caller_killed_at_any_moment_of_run(engine: Engine) -> None:
    for number in range(15):
        child = os.fork()
        if child == 0:
            try:
                engine.run(FOREVER)
            finally:
                os._exit(0)
        time.sleep(0.004 * number)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        states_are_true(engine)
        settle_start(engine)
        states_are_true(engine)
        collect_all(engine)


def test_caller_killed_at_every_step_of_running_a_prepared_pod(engine: Engine) -> None:
    pods = iter([engine.prepare(BRIEF) for _ in range(3)])
    pod = next(pods)
    number = 0
    while steps.in_child(pod.run, number := number + 1):
        settle_start(engine)
        states_are_true(engine)
        steps.supervisors_settle(engine.data_dir)
        if state(pod) != "prepared":  # it was told to go: what the caller did afterwards did not matter
            assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
            pod = next(pods)
    assert number > 3
    collect_all(engine)


def test_caller_killed_at_every_step_of_prepare(engine: Engine) -> None:
    seen = set()
    for _ in steps.killed_at_every_step(lambda: engine.prepare(BRIEF), at_least=15):
        seen |= {path.parent.name for path in host_view.pod_directories(engine.data_dir)}
        states_are_true(engine)
        collect_all(engine)
    assert {"prepare", "prepared"} <= seen


def test_caller_killed_at_every_step_of_stop_and_remove(engine: Engine) -> None:
    number, removed = 0, False
    while not removed:
        pod = engine.run(FOREVER)
        inside = host_view.Inside(keeper(engine, pod, "init"))
        number += 1 if number < 20 else 4  # deleting is the same step over and over
        removed = not steps.in_child(lambda pod=pod: pod.remove(force=True), number)
        states_are_true(engine)
        pod.remove(force=True)
        assert engine.gc(grace_s=0).problems == []
        host_view.nothing_left(engine.data_dir, pod.uuid, inside)
    assert number > 10


def test_caller_killed_in_an_exec(engine: Engine) -> None:
    with engine.run(FOREVER) as pod:
        number = 0
        while steps.in_child(
            lambda: pod.exec(["sh", "-c", "cat; sleep 0.01"], input=b"x"), number := number + 1
        ):
            assert state(pod) == "running"
        assert number > 2
        assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"
        init = keeper(engine, pod, "init")
        host_view.eventually("the executions end", lambda: len(host_view.descendants(init)) == 2)
