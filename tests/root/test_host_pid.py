"""Pods among the host's processes: no process takes the others with it, so their control group must."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import carob.aio
from carob import App, Engine, Exited, PodHandle, Signaled
from carob.errors import TimedOut
from carob.linux import cgroup, freezer
from tests.needs import require, require_command
from tests.root import host_view

# What outlives its app wherever it can: in a session of its own, nobody's child, deaf to what can be ignored.
LEAVES_ONE = "(trap '' HUP TERM INT; setsid sleep 1000) </dev/null >/dev/null 2>&1 & "
RESTING = str(Path(__file__).with_name("soon_resting_supervisor.py"))
FOREVER = App("busybox", ["sh", "-c", f"{LEAVES_ONE} exec sleep 1000"], name="app")


def run(engine: Engine, app: App = FOREVER, **options: object) -> PodHandle:
    pod = engine.run(app, pid="host", **options)  # type: ignore[arg-type]
    if app is FOREVER:
        host_view.eventually("the app has left one", lambda: len(members(pod)) >= 3)
    return pod


def members(pod: PodHandle) -> set[int]:
    """The processes in the pod's groups, init among them."""
    return {
        int(pid)
        for group in host_view.cgroups(pod.uuid)
        for below, _, _ in os.walk(group)
        for pid in host_view.read(f"{below}/cgroup.procs").split()
    }


def keeper(engine: Engine, pod: PodHandle, which: str) -> int:
    return host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), which)


def kill(engine: Engine, pod: PodHandle, *names: str) -> None:
    for name in names:
        pid = keeper(engine, pod, name)
        os.kill(pid, signal.SIGKILL)
        host_view.wait_gone(pid)


def none_is_left(engine: Engine, pod: PodHandle, seen: set[int]) -> None:
    assert [pid for pid in seen if host_view.is_alive(pid)] == []
    host_view.nothing_left(engine.data_dir, pod.uuid)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_its_apps_are_among_the_hosts_processes(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    pod = run(engine, runtime=runtime)
    app, init = pod.top()[0], keeper(engine, pod, "init")
    assert (app.pid, app.pid) == (app.pod_pid, app.app_pid)
    assert host_view.namespace(app.pid, "pid") == host_view.namespace(os.getpid(), "pid")
    assert app.pid in host_view.descendants(init)
    assert len(pod.top()) == 2
    script = f"readlink /proc/self/ns/pid; cat /proc/{os.getpid()}/comm"
    said = pod.exec(["sh", "-c", script], text=True).stdout
    assert said == f"{host_view.namespace(os.getpid(), 'pid')}\n{host_view.read('/proc/self/comm')}"
    assert pod.status().pid == init
    seen = members(pod)
    pod.stop()
    assert pod.status().app("app").end == Signaled(15)
    pod.remove()
    none_is_left(engine, pod, seen)


def _stop(_: Engine, pod: PodHandle) -> None:
    pod.stop()


def _kill(_: Engine, pod: PodHandle) -> None:
    pod.kill()


def _init_is_killed(engine: Engine, pod: PodHandle) -> None:
    kill(engine, pod, "init")


def _stop_without_a_monitor(engine: Engine, pod: PodHandle) -> None:
    kill(engine, pod, "monitor")
    pod.stop()


def _kill_while_paused(_: Engine, pod: PodHandle) -> None:
    pod.pause()
    pod.kill()


def _init_is_killed_while_paused(engine: Engine, pod: PodHandle) -> None:
    pod.pause()
    kill(engine, pod, "init")


def _stopped_after_both_were_killed(engine: Engine, pod: PodHandle) -> None:
    kill(engine, pod, "monitor", "init")
    pod.stop()


@pytest.mark.parametrize(
    "end",
    [
        _stop,
        _kill,
        _init_is_killed,
        _stop_without_a_monitor,
        _kill_while_paused,
        _init_is_killed_while_paused,
        _stopped_after_both_were_killed,
    ],
)
def test_however_it_ends_all_of_it_has_ended_then(
    engine: Engine, end: Callable[[Engine, PodHandle], None]
) -> None:
    pod = run(engine)
    seen = members(pod)
    assert len(seen) >= 3
    end(engine, pod)
    pod.wait(timeout_s=host_view.PATIENCE_S)
    assert [pid for pid in seen if host_view.is_alive(pid)] == []
    assert str(pod.status().state) == "exited"
    assert pod.status().warnings == ()
    pod.remove()
    none_is_left(engine, pod, seen)


@pytest.mark.parametrize("verb", ["rm", "gc"])
def test_after_both_are_killed_the_rest_is_told_of_and_ended_before_the_pod_goes(
    engine: Engine, verb: str
) -> None:
    pod = run(engine)
    seen = members(pod)
    kill(engine, pod, "monitor", "init")
    status = pod.status()
    assert str(status.state) == "exited"
    (warning,) = status.warnings
    assert warning.startswith("processes of the pod are still there: 2")
    with pytest.raises(TimedOut):
        pod.wait(timeout_s=0.1)
    if verb == "rm":
        pod.remove()
    else:
        collection = engine.gc(grace_s=0)
        assert (collection.deleted, collection.problems) == ([pod.uuid], [])
    none_is_left(engine, pod, seen)


def test_waiting_on_a_loop_goes_on_until_the_rest_has_ended(engine: Engine) -> None:
    pod = run(engine)
    kill(engine, pod, "monitor", "init")

    async def wait() -> None:
        async with carob.aio.Engine(engine.data_dir) as other:
            handle = other.handle(pod.uuid)
            with pytest.raises(TimedOut):
                await handle.wait(timeout_s=0.1)
            for pid in members(pod):
                os.kill(pid, signal.SIGKILL)
            await handle.wait(timeout_s=host_view.PATIENCE_S)

    asyncio.run(wait())
    pod.remove()


def test_what_an_app_leaves_behind_ends_with_the_pod_when_that_ends_by_itself(engine: Engine) -> None:
    pod = run(engine, App("busybox", ["sh", "-c", f"{LEAVES_ONE} exit 3"], name="app"))
    assert pod.wait(timeout_s=host_view.PATIENCE_S).apps == {"app": Exited(3)}
    assert members(pod) == set()
    pod.remove()


def test_one_that_forks_without_end_is_ended_as_well(engine: Engine) -> None:
    script = "while :; do (while :; do (:) & done) & sleep 0.01; [ $((n += 1)) -lt 8 ] || wait; done"
    pod = engine.run(App("busybox", ["sh", "-c", script]), pid="host")
    host_view.eventually("there are many", lambda: len(members(pod)) >= 8)
    kill(engine, pod, "monitor", "init")
    pod.remove()
    host_view.nothing_left(engine.data_dir, pod.uuid)


def test_a_tie_holds_without_a_monitor(engine: Engine) -> None:
    program = (
        "import sys; from carob import App, Engine; "
        "pod = Engine(sys.argv[1]).run(App('busybox', ['sleep', '1000']), pid='host', tied=True); "
        "print(pod.uuid, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, engine.data_dir]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        pod = engine.handle(caller.stdout.readline().strip())
        seen = members(pod)
        kill(engine, pod, "monitor")
        caller.kill()
    pod.wait(timeout_s=host_view.PATIENCE_S)
    assert [pid for pid in seen if host_view.is_alive(pid)] == []
    pod.remove()


def test_a_monitor_that_rested_ends_all_of_it_as_well(engine: Engine) -> None:
    pod = run(Engine(engine.data_dir, launcher=("-S", RESTING)))
    seen = members(pod)
    monitor = keeper(engine, pod, "monitor")
    path = f"/proc/{monitor}/cmdline"
    host_view.eventually("the monitor rests", lambda: host_view.read(path).startswith("carob-monitor"))
    kill(engine, pod, "init")
    pod.wait(timeout_s=host_view.PATIENCE_S)
    pod.remove()
    none_is_left(engine, pod, seen)


def test_a_prepared_one_runs_as_one(engine: Engine) -> None:
    pod = engine.prepare(FOREVER, pid="host")
    pod.run()
    assert host_view.namespace(pod.top()[0].pid, "pid") == host_view.namespace(os.getpid(), "pid")
    pod.remove(force=True)


# --- the group ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2", "v2 before 5.14"])
def test_all_processes_of_a_group_are_killed_frozen_ones_too(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    if version != "v1":
        mounts = [Path(cgroup.MOUNT_POINT), Path(cgroup.MOUNT_POINT, "unified")]
        found = [str(path) for path in mounts if (path / "cgroup.controllers").exists()]
        require(found, "needs cgroups v2, if only beside v1")
        monkeypatch.setattr(cgroup, "MOUNT_POINT", found[0])
    else:
        require(cgroup.hierarchies() != [cgroup.V2], "needs cgroups v1")
    if version == "v2 before 5.14":
        exists = os.path.exists
        monkeypatch.setattr(os.path, "exists", lambda path: not str(path).endswith("kill") and exists(path))
    group = f"/carob-test-{os.getpid()}"
    names = [name for name in cgroup.hierarchies() if cgroup.holds_pods(name)]
    for name in names:
        for path in (group, f"{group}/below"):
            os.mkdir(cgroup.directory(name, path))
    started = [subprocess.Popen(["sleep", "1000"]) for _ in range(6)]
    try:
        for place, one in enumerate(started):
            for name in names:
                cgroup.enter(name, f"{group}/below" if place % 2 else group, one.pid)
        assert freezer.members(group) == sorted(one.pid for one in started)
        freezer.freeze(f"{group}/below")
        assert freezer.kill_all(group)
        assert {one.wait(timeout=host_view.PATIENCE_S) for one in started} == {-signal.SIGKILL}
        assert not freezer.kill_all(group)
    finally:
        for one in started:
            one.kill()
        cgroup.remove(group)
