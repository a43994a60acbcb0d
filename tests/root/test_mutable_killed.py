"""Mutable pods when callers race or are killed, and when init and monitor are."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from pathlib import Path

import pytest

from carob import App, CarobError, Engine, MemoryVolume, Mount, PodHandle, Signaled, Unknown
from carob.errors import Conflict, NotFound
from tests.root import host_view, steps
from tests.root.mutable_pods import app, directory, is_explained, is_settled, known, named

SOON_S = 60
RACERS, ROUNDS = 8, 30


def settle(engine: Engine, pod: PodHandle) -> None:
    """Change the pod once more, which finishes or takes back what somebody began."""
    pod.add(app("probe"))
    pod.remove_app("probe")
    is_settled(engine, pod)


def everything(name: str) -> App:
    return app(name, mounts=[Mount(MemoryVolume(name="shared"), "/shared"), Mount("/var/tmp", "/there")])


def test_caller_killed_at_every_step_of_add(engine: Engine) -> None:
    pod = engine.sandbox()
    added = []
    for _ in steps.killed_at_every_step(lambda: pod.add(everything("web")), at_least=20):
        is_explained(engine, pod)
        if named(pod):
            added.append(known(engine, pod))
            pod.start_app("web")
            pod.remove_app("web", force=True)
        if len(added) % 2:
            assert engine.gc().problems == []
            is_settled(engine, pod)
        settle(engine, pod)
    assert added
    assert set(map(str, added)) == {"{'web': 'created'}"}
    host_view.eventually("init keeps nothing of them", lambda: len(descriptors(engine, pod)) < 15)
    pod.remove(force=True)


def descriptors(engine: Engine, pod: PodHandle) -> list[str]:
    return os.listdir(f"/proc/{host_view.keeper(directory(engine, pod), 'init')}/fd")


@pytest.mark.parametrize("again", [False, True])
def test_caller_killed_at_every_step_of_start(engine: Engine, again: bool) -> None:
    pod = engine.sandbox()
    number = 0
    while True:
        pod.add(app("web"))
        if again:
            pod.start_app("web")
            pod.stop_app("web")
        killed = steps.in_child(lambda: pod.start_app("web"), number := number + 1)
        is_explained(engine, pod)
        pod.start_app("web")
        assert pod.status().app("web").state == "running"
        pod.remove_app("web", force=True)
        if not killed:
            break
    assert number > 3
    is_settled(engine, pod)
    pod.remove(force=True)


def test_caller_killed_at_every_step_of_stop(engine: Engine) -> None:
    pod = engine.sandbox()
    pod.add(app("web"))
    number = 0
    while True:
        pod.start_app("web")
        killed = steps.in_child(lambda: pod.stop_app("web"), number := number + 1)
        is_explained(engine, pod)
        pod.stop_app("web")
        assert pod.status().app("web").state == "ended"
        if not killed:
            break
    assert number > 2
    is_settled(engine, pod)
    pod.remove(force=True)


@pytest.mark.parametrize("running", [True, False])
def test_caller_killed_at_every_step_of_remove(engine: Engine, running: bool) -> None:
    pod = engine.sandbox()
    number, left = 0, set()
    while True:
        pod.add(everything("web"))
        if running:
            pod.start_app("web")
        killed = steps.in_child(lambda: pod.remove_app("web", force=True), number := number + 1)
        is_explained(engine, pod)
        left.add(tuple(named(pod)))
        if named(pod):
            pod.remove_app("web", force=True)
        settle(engine, pod)
        if not killed:
            break
    assert number > 10
    assert left == {(), ("web",)}
    pod.remove(force=True)


def test_callers_killed_at_any_moment(engine: Engine) -> None:
    pod = engine.sandbox()
    chance = random.Random(7)
    for number in range(40):
        child = os.fork()
        if child == 0:
            drive(engine, pod, number)
        threading.Event().wait(chance.uniform(0.001, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        is_explained(engine, pod)
    settle(engine, pod)
    for name in named(pod):
        pod.remove_app(name, force=True)
    is_settled(engine, pod)
    pod.remove(force=True)


def drive(engine: Engine, pod: PodHandle, seed: int, rounds: int = ROUNDS) -> None:
    """In a forked child: change the pod at random, its few apps again and again. Never returns."""
    chance, status = random.Random(seed), 1
    try:
        for _ in range(rounds):
            name = f"app-{chance.randrange(4)}"
            try:
                match chance.randrange(4):
                    case 0:
                        pod.add(app(name))
                    case 1:
                        pod.start_app(name)
                    case 2:
                        pod.stop_app(name, grace_s=0)
                    case _:
                        pod.remove_app(name, force=chance.random() < 0.7)
            except (Conflict, NotFound):
                pass
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def test_eight_racing_callers_end_in_a_state_that_the_manifest_explains(engine: Engine) -> None:
    pod = engine.sandbox()
    racers = []
    for seed in range(RACERS):
        child = os.fork()
        if child == 0:
            drive(engine, pod, seed)
        racers.append(child)
    assert [os.waitpid(racer, 0)[1] for racer in racers] == [0] * RACERS
    is_settled(engine, pod)
    states = {one.name: one.state for one in pod.status().apps}
    assert states == known(engine, pod)
    init = host_view.keeper(directory(engine, pod), "init")
    running = [name for name, state in states.items() if state in ("running", "created")]
    processes = [pid for pid in host_view.descendants(init) if host_view.is_alive(pid)]
    assert len(processes) >= 1 + len(running)
    assert "Traceback" not in host_view.read(directory(engine, pod) / "carob/supervisor.log")
    for name in named(pod):
        pod.remove_app(name, force=True)
    host_view.eventually("its processes are gone", lambda: len(host_view.descendants(init)) == 1)
    is_settled(engine, pod)
    pod.stop()
    pod.remove()


def test_two_that_add_one_name_and_two_that_start_it(engine: Engine) -> None:
    pod = engine.sandbox()
    for _ in range(5):
        outcomes: list[str] = []

        def change(act: object, outcomes: list[str] = outcomes) -> None:
            try:
                act()  # type: ignore[operator]
                outcomes.append("done")
            except CarobError as error:
                outcomes.append(type(error).__name__)

        together([lambda: change(lambda: pod.add(app("web")))] * 2)
        assert sorted(outcomes) == ["Conflict", "done"]
        outcomes.clear()
        together([lambda: change(lambda: pod.start_app("web"))] * 3)
        assert outcomes == ["done"] * 3
        outcomes.clear()
        together([lambda: change(lambda: pod.remove_app("web", force=True))] * 2)
        assert sorted(outcomes) == ["NotFound", "done"]
    is_settled(engine, pod)
    pod.remove(force=True)


def together(acts: list[object]) -> None:
    threads = [threading.Thread(target=act) for act in acts]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("victims", [("init",), ("monitor",), ("init", "monitor"), ("monitor", "init")])
def test_init_and_monitor_killed_with_apps_added(engine: Engine, victims: tuple[str, ...]) -> None:
    pod = engine.sandbox()
    for name in ("created", "runs", "ended"):
        pod.add(everything(name))
    for name in ("runs", "ended"):
        pod.start_app(name)
    pod.stop_app("ended", grace_s=0)
    top = directory(engine, pod)
    inside = host_view.Inside(host_view.keeper(top, "init"))
    for victim in victims:
        pid = host_view.keeper(top, victim)
        os.kill(pid, signal.SIGKILL)
        host_view.wait_gone(pid)
    if "init" not in victims:
        pod.add(app("more"))  # init goes on without its monitor
        pod.start_app("more")
        is_settled(engine, pod)
        pod.kill()
    end = pod.wait(timeout_s=SOON_S)
    assert end.apps["ended"] == Signaled(9)
    assert isinstance(end.apps["runs"], Unknown)
    with pytest.raises(Conflict):
        pod.start_app("runs")
    pod.remove_app("runs")
    assert sorted(one.name for one in pod.status().apps if one.name != "more") == ["created", "ended"]
    collection = engine.gc(grace_s=0)
    assert collection.problems == []
    host_view.nothing_left(engine.data_dir, pod.uuid, inside)


DYING = str(Path(__file__).with_name("dying_supervisor.py"))


def test_init_killed_at_its_steps_while_apps_come_and_go(engine: Engine) -> None:
    number, whole = 1, False
    while not whole:
        number += 7
        dying = Engine(engine.data_dir, launcher=("-S", DYING, "init", str(number)))
        try:
            pod = dying.sandbox(timeout_s=SOON_S)
            pod.add(everything("web"))
            pod.start_app("web")
            pod.stop_app("web")
            pod.start_app("web")
            pod.remove_app("web", force=True)
            whole = True
        except CarobError:
            pass
        for status in engine.list():
            handle = engine.handle(status.uuid)
            if not whole:
                assert handle.wait(timeout_s=SOON_S).outcome in ("killed", "")
            handle.remove(force=whole)
            host_view.nothing_left(engine.data_dir, status.uuid)
    assert number > 60


def test_who_waits_for_an_app_that_is_removed_or_whose_pod_ends_is_answered(engine: Engine) -> None:
    pod = engine.sandbox()
    stubborn = "trap '' TERM; echo up; while :; do sleep 1000 & wait $!; done"
    for act in (lambda: pod.remove_app("web", force=True), lambda: pod.stop(grace_s=0)):
        pod.add(app("web", stubborn))
        pod.start_app("web")
        host_view.eventually("it is up", lambda: "up" in pod.logs("web").text())
        waiting = threading.Thread(target=lambda: pod.stop_app("web", grace_s=1000))
        waiting.start()
        threading.Event().wait(0.1)
        act()
        waiting.join(SOON_S)
        assert not waiting.is_alive()
    pod.remove()


def kill_quietly(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_a_runtime_that_is_killed_while_it_creates_an_app_leaves_nothing(engine: Engine) -> None:
    pod = engine.sandbox()
    init = host_view.keeper(directory(engine, pod), "init")
    killed = 0
    mounts = [Mount("/var/tmp", f"/m/{number}") for number in range(100)]
    for number in range(20):
        child = os.fork()
        if child == 0:
            try:
                pod.add(app("web", mounts=mounts))
            except CarobError:
                os._exit(1)
            os._exit(0)
        found = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        while found is None:
            runtimes = [
                pid
                for pid in host_view.descendants(init)
                if host_view.read(f"/proc/{pid}/cmdline").startswith("crun\0")
            ]
            if runtimes:
                threading.Event().wait(0.0005 * number)
                kill_quietly(runtimes[0])
                break
            found = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        _, status = os.waitpid(child, 0)
        killed += status != 0
        if status == 0:
            pod.remove_app("web", force=True)
        settle(engine, pod)
        if killed > 5:
            break
    assert killed > 0
    host_view.eventually("nothing of it runs", lambda: len(host_view.descendants(init)) == 1)
    assert not [path for path in host_view.cgroups(pod.uuid) if path.endswith("/web")]
    pod.remove(force=True)
