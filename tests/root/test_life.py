"""How apps live in a pod: their order, their restarts, and what is asked of them while they run."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from pathlib import Path

import pytest

from carob import App, Engine, Exited, Mount, PodHandle, Signaled, Unknown
from carob.errors import AppStartFailed, Conflict, InvalidInput, NotFound, Unavailable
from tests.needs import require_command
from tests.root import host_view
from tests.root.test_exec import settled

SOON_S = 60
LONG_S = 1000.0
SLEEPS = "while :; do sleep 1000 & wait $!; done"


def app(name: str, script: str, **life: object) -> App:
    return App("busybox", ["sh", "-c", script], name=name, **life)  # type: ignore[arg-type]


def said(pod: PodHandle, text: str, name: str | None = None) -> None:
    host_view.eventually(f"it says {text}", lambda: text in pod.logs(name).text())


def state(pod: PodHandle, name: str) -> str:
    return pod.status().app(name).state


# --- order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_init_apps_then_sidecars_then_the_others_and_back(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    polite = f"trap 'echo bye; exit 0' TERM; echo hi; {SLEEPS}"
    with engine.run(
        app("main", "echo hi; sleep 0.2; echo bye"),
        app("first", "echo hi; sleep 0.1; echo bye", role="init"),
        app("side", polite, role="sidecar"),
        app("second", "echo hi; echo bye", role="init"),
        runtime=runtime,
    ) as pod:
        assert state(pod, "first") == state(pod, "second") == "ended", "they were over before it was ready"
        end = pod.wait(timeout_s=SOON_S)
        assert end.outcome == "finished"
        assert set(end.apps.values()) == {Exited(0)}
        times = [
            (entry.time_ns, name, entry.output)
            for name in ("main", "first", "side", "second")
            for entry in pod.logs(name).entries()
        ]
        words = [(name, output) for _, name, output in sorted(times, key=lambda one: one[0])]
        hi, bye = b"hi\n", b"bye\n"
        assert words[:4] == [("first", hi), ("first", bye), ("second", hi), ("second", bye)]
        assert words[-2:] == [("main", bye), ("side", bye)]
        status = pod.status()
        assert status.app("side").started_ns < status.app("main").started_ns  # type: ignore[operator]
        assert [one.role for one in status.apps] == ["main", "init", "sidecar", "init"]


def test_who_waits_is_told_of_the_app_that_failed_not_of_the_one_that_was_cut_off(
    engine: Engine, tmp_path: Path
) -> None:
    mounts = [Mount(str(tmp_path), f"/{number}") for number in range(300)]  # which keeps the runtime at work
    with pytest.raises(AppStartFailed, match="app quick failed") as caught:
        engine.run(app("quick", "exit 3"), app("slow", "exec sleep 1000", mounts=mounts), grace_s=0)
    assert (caught.value.app, caught.value.code) == ("quick", 3)
    pod = engine.handle(caught.value.uuid)
    assert pod.wait(timeout_s=SOON_S).outcome == "app failed"
    assert pod.status().app("slow").end == Unknown("it was never started: it was to end before that")
    pod.remove()


def test_an_init_app_that_fails_ends_the_pod_before_the_others_begin(engine: Engine) -> None:
    with pytest.raises(AppStartFailed, match="app setup failed") as caught:
        engine.run(app("setup", "echo no; exit 3", role="init"), app("main", "echo yes"))
    assert (caught.value.code, caught.value.app) == (3, "setup")
    pod = engine.handle(str(caught.value.uuid))
    end = pod.wait(timeout_s=SOON_S)
    assert end.outcome == "app failed"
    assert end.apps["setup"] == Exited(3)
    assert end.apps["main"] == Unknown("it was never started: the pod ended first")
    assert pod.logs("setup").text() == "no\n"
    pod.remove()


def test_a_failing_init_app_is_tried_again(engine: Engine) -> None:
    again = "test -e /tmp/once && exit 0; touch /tmp/once; exit 1"
    with engine.run(app("setup", again, role="init", restart="on-failure"), app("main", "echo yes")) as pod:
        end = pod.wait(timeout_s=SOON_S)
        assert end.apps == {"setup": Exited(0), "main": Exited(0)}
        assert pod.status().app("setup").restarts == 1


def test_a_pod_that_is_stopped_amid_its_start_says_so(engine: Engine) -> None:
    pod = engine.prepare(app("setup", "sleep 1000", role="init"), app("main", "true"))

    def end_it() -> None:
        host_view.eventually("it runs", lambda: str(pod.status().state) == "running")
        host_view.eventually("setup runs", lambda: state(pod, "setup") == "running")
        pod.stop(grace_s=0)

    thread = threading.Thread(target=end_it)
    thread.start()
    with pytest.raises(Unavailable, match="not all of its apps were started"):
        pod.run()
    thread.join()
    assert pod.wait(timeout_s=SOON_S).outcome == "stopped"
    pod.remove()


def test_sidecars_have_time_even_after_the_grace_is_used_up(engine: Engine) -> None:
    stubborn = f"trap : TERM; echo ready; {SLEEPS}"
    polite = f"trap 'exit 7' TERM; echo ready; {SLEEPS}"
    with engine.run(app("main", stubborn), app("side", polite, role="sidecar")) as pod:
        said(pod, "ready", "main")
        said(pod, "ready", "side")
        pod.stop(grace_s=0.2)
        assert {one.name: one.end for one in pod.status().apps} == {"main": Signaled(9), "side": Exited(7)}


def test_an_app_has_its_own_signal_and_grace(engine: Engine) -> None:
    quick = app("quick", f"trap 'exit 5' USR1; trap : TERM; echo ready; {SLEEPS}", stop_signal="USR1")
    stubborn = app("stubborn", f"trap : TERM; echo ready; {SLEEPS}", stop_timeout_s=0.2)
    with engine.run(quick, stubborn, grace_s=LONG_S) as pod:
        said(pod, "ready", "quick")
        said(pod, "ready", "stubborn")
        pod.stop()
        assert {one.name: one.end for one in pod.status().apps} == {
            "quick": Exited(5),
            "stubborn": Signaled(9),
        }


# --- restarts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_restarts_are_limited_counted_and_told(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    with engine.run(app("x", "echo run; exit 3", restart="on-failure:2"), runtime=runtime) as pod:
        end = pod.wait(timeout_s=SOON_S)
        assert (end.outcome, end.apps["x"]) == ("app failed", Exited(3))
        status = pod.status().app("x")
        assert (status.restarts, status.last_end) == (2, Exited(3))
        entries = [*pod.logs().entries()]
        assert [entry.output for entry in entries] == [b"run\n"] * 3
        pauses = [after.time_ns - before.time_ns for before, after in itertools.pairwise(entries)]
        assert pauses[0] >= 0.1e9
        assert pauses[1] >= 0.2e9
        record = json.loads(
            (host_view.pod_directory(engine.data_dir, pod.uuid) / "carob/apps/x/exit.json").read_text()
        )
        assert record["restarts"] == 2


def test_an_app_that_always_runs_does_until_the_pod_is_stopped(engine: Engine) -> None:
    with engine.run(app("x", "echo run", restart="always")) as pod:
        host_view.eventually("it ran three times", lambda: pod.logs().text().count("run") >= 3)
        assert str(pod.status().state) == "running"
        host_view.eventually("it waits", lambda: state(pod, "x") == "waiting")
        pod.stop()
        status = pod.status()
        assert (status.outcome, status.app("x").end) == ("stopped", Exited(0))
        assert status.app("x").restarts >= 2


def test_a_success_is_not_repeated_after_a_failure(engine: Engine) -> None:
    script = "test -e /tmp/once && exit 0; touch /tmp/once; exit 9"
    with engine.run(app("x", script, restart="on-failure")) as pod:
        end = pod.wait(timeout_s=SOON_S)
        assert (end.outcome, end.apps["x"]) == ("finished", Exited(0))
        assert (pod.status().app("x").restarts, pod.status().app("x").last_end) == (1, Exited(9))


def test_each_run_has_a_control_group_of_its_own(engine: Engine) -> None:
    """Whose counters, such as that of kills for want of memory, tell of nothing before."""
    with engine.run(app("x", SLEEPS)) as pod:
        group = host_view.cgroup_file(pod.uuid, "x", "cgroup.procs", "memory").parent
        before = group.stat().st_ino
        pod.restart(app="x")
        host_view.eventually("it is there again", lambda: group.exists() and group.stat().st_ino != before)


def test_a_restart_that_cannot_be_is_a_failure_like_another(engine: Engine) -> None:
    with engine.run(app("x", "rm /bin/busybox; exit 1", restart="on-failure:1")) as pod:
        end = pod.wait(timeout_s=SOON_S)
        assert end.outcome == "app failed"
        assert isinstance(end.apps["x"], Unknown)
        assert "could not be started again" in str(end.apps["x"])


def test_restart_ends_an_app_and_starts_it_anew(engine: Engine) -> None:
    polite = f"trap 'echo bye; exit 0' TERM; echo hi $$; {SLEEPS}"
    with engine.run(app("x", polite), app("done", "true"), app("setup", "true", role="init")) as pod:
        said(pod, "hi", "x")
        pod.restart(app="x")
        said(pod, "bye\nhi", "x")
        status = pod.status().app("x")
        assert (status.state, status.restarts, status.last_end) == ("running", 1, Exited(0))
        host_view.eventually("the other is over", lambda: state(pod, "done") == "ended")
        pod.restart(app="done")
        host_view.eventually("it has run again", lambda: pod.status().app("done").end == Exited(0))
        assert pod.status().app("done").restarts == 1
        pod.restart()
        assert pod.status().app("x").restarts == 2
        with pytest.raises(Conflict, match="init app"):
            pod.restart(app="setup")
        with pytest.raises(NotFound):
            pod.restart(app="none")
        with pytest.raises(InvalidInput):
            pod.restart(grace_s=-1)
        pod.stop()
        with pytest.raises(Conflict, match="nothing of it runs"):
            pod.restart()


def test_many_restarts_leave_init_as_it_was(engine: Engine) -> None:
    with engine.run(app("x", SLEEPS)) as pod:
        init = host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init")

        def held() -> tuple[int, list[str], list[str]]:
            run = f"/proc/{init}/root/run"
            descriptors = len(os.listdir(f"/proc/{init}/fd"))
            return descriptors, sorted(os.listdir(run)), sorted(os.listdir(f"{run}/runtime"))

        pod.restart()
        settled(init)
        before = held()
        for _ in range(30):
            pod.restart(grace_s=0)
        settled(init)
        assert held() == before
        assert pod.status().app("x").restarts == 31


# --- signals and pauses ---------------------------------------------------------------------------


def test_a_signal_reaches_every_app_that_runs(engine: Engine) -> None:
    script = f"trap 'echo got; exit 0' USR1; echo ready; {SLEEPS}"
    with engine.run(app("a", script), app("b", script), app("over", "true")) as pod:
        for name in ("a", "b"):
            said(pod, "ready", name)
        pod.signal(10)
        end = pod.wait(timeout_s=SOON_S)
        assert set(end.apps.values()) == {Exited(0)}
        assert pod.logs("a").text() == pod.logs("b").text() == "ready\ngot\n"


TICKS = "while :; do echo t; sleep 0.01; done"


def stands_still(pod: PodHandle, name: str) -> bool:
    before = len(pod.logs(name).bytes())
    time.sleep(0.1)
    return len(pod.logs(name).bytes()) == before


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_paused_app_stands_still_until_it_is_resumed(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    with engine.run(app("a", TICKS), app("b", TICKS), runtime=runtime) as pod:
        said(pod, "t", "a")
        said(pod, "t", "b")
        pod.pause(app="a")
        pod.pause(app="a")
        assert (state(pod, "a"), state(pod, "b")) == ("paused", "running")
        assert stands_still(pod, "a")
        assert not stands_still(pod, "b")
        with pytest.raises(Conflict, match="is paused"):
            pod.exec(["true"], app="a")
        pod.pause()
        assert stands_still(pod, "b")
        pod.resume()
        pod.resume()
        assert (state(pod, "a"), state(pod, "b")) == ("running", "running")
        assert not stands_still(pod, "a")
        pod.pause()
        pod.restart(app="a")
        assert (state(pod, "a"), state(pod, "b")) == ("running", "paused")
        pod.signal(9, app="b")
        host_view.eventually("it is dead", lambda: pod.status().app("b").end == Signaled(9))


def test_a_paused_pod_can_be_stopped(engine: Engine) -> None:
    with engine.run(app("x", f"trap 'exit 4' TERM; echo ready; {SLEEPS}")) as pod:
        said(pod, "ready")
        pod.pause()
        pod.stop(grace_s=LONG_S)
        assert pod.status().app("x").end == Exited(4)


def test_a_paused_pod_can_be_killed_and_removed(engine: Engine) -> None:
    for how in ("kill", "stop", "remove"):
        pod = engine.run(app("x", TICKS))
        pod.pause()
        if how == "kill":
            pod.kill()
        elif how == "stop":
            pod.stop(grace_s=0)
        pod.remove(force=how == "remove")
        host_view.nothing_left(engine.data_dir, pod.uuid)


@pytest.mark.parametrize("victims", [["init"], ["monitor"], ["init", "monitor"], ["monitor", "init"]])
def test_nothing_is_left_of_a_paused_pod_whose_keepers_are_killed(engine: Engine, victims: list[str]) -> None:
    pod = engine.run(app("x", TICKS), app("y", TICKS))
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    keepers = {which: host_view.keeper(directory, which) for which in victims}
    inside = host_view.Inside(host_view.keeper(directory, "init"))
    pod.pause()
    for which in victims:
        os.kill(keepers[which], 9)
    if victims == ["monitor"]:
        assert str(pod.status().state) == "running"
        pod.remove(force=True)
    elif victims == ["init"]:
        pod.wait(timeout_s=SOON_S)
    else:
        host_view.eventually("it has ended", lambda: str(pod.status().state) == "exited")
    collection = engine.gc(grace_s=0)
    assert collection.problems == []
    host_view.nothing_left(engine.data_dir, pod.uuid)
    assert inside.survivors() == []
