from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from carob import App, Engine, Exited, PodHandle, Signaled, Unknown
from carob.errors import CarobError, Conflict, InvalidInput
from tests.needs import require_command
from tests.root import host_view

SOON_S = 60
FOREVER = ["sleep", "1000"]
LONG_S = 1000.0
STUBBORN = "trap : TERM; echo ready; while :; do sleep 1000 & wait $!; done"


def waiting(name: str, script: str) -> App:
    return App("busybox", ["sh", "-c", script], name=name)


def keeper(engine: Engine, pod: PodHandle, which: str) -> int:
    return host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), which)


def said(pod: PodHandle, text: str, app: str | None = None) -> None:
    host_view.eventually(f"it says {text}", lambda: text in pod.logs(app).text())


def state(pod: PodHandle) -> str:
    return str(pod.status().state)


def test_trap_is_run_and_its_code_is_the_end(engine: Engine) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 1000 & wait $!; done"
    with engine.run(waiting("x", script)) as pod:
        said(pod, "ready")
        pod.stop(grace_s=LONG_S)
        status = pod.status()
        assert status.app("x").end == Exited(5)
        assert (str(status.state), status.outcome) == ("exited", "stopped")
        assert pod.logs().text() == "ready\nbye\n"


def test_signal_goes_to_the_app_alone(engine: Engine) -> None:
    traps = "trap 'echo got usr1; exit 0' USR1; trap 'echo got term' TERM"
    script = f"{traps}; echo ready; while :; do sleep 1000 & wait $!; done"
    with engine.run(waiting("x", script)) as pod:
        said(pod, "ready")
        pod.signal(signal.SIGUSR1)
        assert pod.wait(timeout_s=SOON_S).apps == {"x": Exited(0)}
        assert pod.logs().text() == "ready\ngot usr1\n"


def test_app_that_ignores_the_signal_is_killed_after_the_grace(engine: Engine) -> None:
    with engine.run(waiting("x", STUBBORN)) as pod:
        said(pod, "ready")
        began = time.monotonic()
        pod.stop(grace_s=0.3)
        assert time.monotonic() - began >= 0.3
        assert pod.status().app("x").end == Signaled(9)


def test_grace_of_the_pod_is_the_default(engine: Engine) -> None:
    with engine.run(waiting("x", STUBBORN), grace_s=0.2) as pod:
        said(pod, "ready")
        pod.stop()
        assert pod.status().app("x").end == Signaled(9)


def test_app_to_which_the_signal_means_nothing_ends_at_once(engine: Engine) -> None:
    # As PID 1 of its namespace it would never get SIGTERM.
    with engine.run(App("busybox", FOREVER)) as pod:
        thread = threading.Thread(target=pod.stop, kwargs={"grace_s": LONG_S})
        thread.start()
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Signaled(9)}
        thread.join()
        assert pod.status().outcome == "stopped"


def test_second_stop_can_shorten_the_grace_and_not_lengthen_it(engine: Engine) -> None:
    with engine.run(waiting("x", STUBBORN)) as pod:
        said(pod, "ready")
        slow = threading.Thread(target=pod.stop, kwargs={"grace_s": LONG_S})
        slow.start()
        pod.stop(grace_s=0)
        assert pod.wait(timeout_s=SOON_S).apps == {"x": Signaled(9)}
        slow.join()


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_all_apps_are_asked_and_each_has_its_own_end(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    polite = "trap 'exit 0' TERM; echo ready; while :; do sleep 1000 & wait $!; done"
    with engine.run(waiting("polite", polite), waiting("stubborn", STUBBORN), runtime=runtime) as pod:
        for name in ("polite", "stubborn"):
            said(pod, "ready", name)
        pod.stop(grace_s=0.3)
        ends = {app.name: app.end for app in pod.status().apps}
        assert ends == {"polite": Exited(0), "stubborn": Signaled(9)}


def test_failing_app_gives_the_others_their_grace(engine: Engine) -> None:
    with engine.run(
        waiting("bad", "read go </tmp/none; exit 3"), waiting("stubborn", STUBBORN), grace_s=0.3
    ) as pod:
        end = pod.wait(timeout_s=SOON_S)
        assert end.outcome == "app failed"
        assert end.apps["stubborn"] == Signaled(9)


def test_stop_of_an_ended_pod_is_fine(engine: Engine) -> None:
    with engine.run(App("busybox", ["true"])) as pod:
        pod.wait(timeout_s=SOON_S)
        for _ in range(2):
            pod.stop()
            pod.kill()
        assert pod.status().app("busybox").end == Exited(0)
        assert pod.status().outcome == "finished"


def test_stop_of_a_pod_that_does_not_run_yet(engine: Engine) -> None:
    pod = engine.prepare(App("busybox", FOREVER))
    with pytest.raises(Conflict):
        pod.stop()
    with pytest.raises(Conflict):
        pod.kill()
    assert state(pod) == "prepared"


def test_kill_ends_all_and_says_so(engine: Engine) -> None:
    with engine.run(waiting("x", STUBBORN), App("busybox", FOREVER, name="y")) as pod:
        inside = host_view.Inside(keeper(engine, pod, "init"))
        pod.kill()
        assert inside.survivors() == []
        status = pod.status()
        assert (str(status.state), status.outcome) == ("exited", "killed")
        assert all(isinstance(app.end, Unknown) for app in status.apps)


def test_stop_without_a_monitor(engine: Engine) -> None:
    with engine.run(
        waiting("x", "trap 'exit 5' TERM; echo ready; while :; do sleep 1000 & wait $!; done")
    ) as pod:
        said(pod, "ready")
        monitor = keeper(engine, pod, "monitor")
        os.kill(monitor, signal.SIGKILL)
        host_view.wait_gone(monitor)
        assert state(pod) == "running"
        assert any("monitor is gone" in line for line in pod.status().warnings)
        pod.stop(grace_s=LONG_S)
        status = pod.status()
        assert (str(status.state), status.outcome) == ("exited", "stopped")
        assert status.app("x").end == Exited(5)
        assert status.pid is None
    host_view.nothing_left(engine.data_dir, pod.uuid)


def test_stop_while_the_pod_is_starting(engine: Engine) -> None:
    """From the moment it runs, a pod can be stopped or killed; whoever started it is told."""
    for end in ("stop", "kill", "stop", "kill"):
        pod = engine.prepare(waiting("x", STUBBORN))
        told: list[object] = []

        def run(pod: PodHandle = pod, told: list[object] = told) -> None:
            try:
                pod.run()
                told.append("ready")
            except Exception as error:
                told.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        host_view.eventually("it runs", lambda pod=pod: state(pod) != "prepared")
        if end == "stop":
            pod.stop(grace_s=0)
        else:
            pod.kill()
        thread.join(SOON_S)
        assert not thread.is_alive()
        assert len(told) == 1
        assert state(pod) == "exited"
        pod.remove()
        host_view.nothing_left(engine.data_dir, pod.uuid)


def test_stopped_init_is_seen_and_can_be_killed(engine: Engine) -> None:
    pod = engine.run(App("busybox", FOREVER))
    init = keeper(engine, pod, "init")
    assert pod.status().warnings == ()
    os.kill(init, signal.SIGSTOP)
    host_view.eventually("init is stopped", lambda: host_view.fields(init)[0] == "T")
    assert any("init is stopped" in line for line in pod.status().warnings)
    assert state(pod) == "running"
    pod.kill()
    assert state(pod) == "exited"
    pod.remove()
    host_view.nothing_left(engine.data_dir, pod.uuid)


def test_stopped_monitor_is_seen_and_the_pod_can_be_ended_once_it_goes_on(engine: Engine) -> None:
    pod = engine.run(App("busybox", FOREVER))
    monitor, init = keeper(engine, pod, "monitor"), keeper(engine, pod, "init")
    os.kill(monitor, signal.SIGSTOP)
    host_view.eventually("the monitor is stopped", lambda: host_view.fields(monitor)[0] == "T")
    assert any("monitor is stopped" in line for line in pod.status().warnings)
    inside = host_view.Inside(init)
    os.kill(init, signal.SIGKILL)
    host_view.eventually("all in the pod are dead", lambda: not inside.survivors())
    assert state(pod) == "running", "the lock is held by the stopped monitor"
    assert any("monitor is stopped" in line for line in pod.status().warnings)
    os.kill(monitor, signal.SIGCONT)
    pod.wait(timeout_s=SOON_S)
    assert pod.status().outcome == "killed"
    pod.remove()
    host_view.nothing_left(engine.data_dir, pod.uuid)


def test_stopped_app_is_ended_after_the_grace(engine: Engine) -> None:
    with engine.run(
        waiting("x", "trap 'exit 0' TERM; echo ready; while :; do sleep 1000 & wait $!; done")
    ) as pod:
        said(pod, "ready")
        pod.signal(signal.SIGSTOP)
        pod.stop(grace_s=0.2)
        assert pod.status().app("x").end == Signaled(9)


def test_asking_the_monitor_stops_the_pod(engine: Engine) -> None:
    """As a service manager does it: SIGTERM to the main process."""
    with engine.run(
        waiting("x", "trap 'exit 7' TERM; echo ready; while :; do sleep 1000 & wait $!; done")
    ) as pod:
        said(pod, "ready")
        monitor = keeper(engine, pod, "monitor")
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(monitor, number)  # a terminal's, and not meant for it
        os.kill(monitor, signal.SIGTERM)
        assert pod.wait(timeout_s=SOON_S).apps == {"x": Exited(7)}
        assert pod.status().outcome == "stopped"


def test_signals_to_init_from_the_host_do_nothing_but_kill(engine: Engine) -> None:
    with engine.run(App("busybox", FOREVER)) as pod:
        init = keeper(engine, pod, "init")
        for number in (
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGHUP,
            signal.SIGQUIT,
            signal.SIGUSR1,
            signal.SIGPIPE,
        ):
            os.kill(init, number)
        assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"
        assert state(pod) == "running"


def test_remove_of_a_running_pod_needs_force(engine: Engine) -> None:
    pod = engine.run(App("busybox", FOREVER))
    with pytest.raises(Conflict, match="running"):
        pod.remove()
    assert state(pod) == "running"
    pod.remove(force=True)
    host_view.nothing_left(engine.data_dir, pod.uuid)
    pod.remove()
    pod.remove(force=True)


def test_a_stopped_monitor_does_not_keep_its_pod(engine: Engine) -> None:
    pod = engine.run(App("busybox", ["sleep", "1000"]))
    monitor = pod.status().monitor_pid
    assert monitor is not None
    os.kill(monitor, signal.SIGSTOP)
    pod.remove(force=True)
    assert host_view.pod_directories(engine.data_dir) == []


def test_no_process_but_an_init_is_killed_for_what_a_file_says(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_AFTER_GRACE_S", "_AFTER_KILL_S"):  # nobody ends meanwhile, however long one waits
        monkeypatch.setattr(f"carob.engine.end.stop.{name}", 0.2)
    with subprocess.Popen(["sleep", "1000"]) as other:
        pod = engine.run(App("busybox", ["sleep", "1000"]))
        try:
            path = Path(host_view.pod_directory(engine.data_dir, pod.uuid), "carob/supervisor.json")
            whole = path.read_text()
            document = json.loads(whole)
            with open(f"/proc/{other.pid}/stat") as file:
                ticks = int(file.read().rpartition(")")[2].split()[19])
            path.write_text(json.dumps(document | {"init": {"pid": other.pid, "start_ticks": ticks}}))
            with pytest.raises(CarobError):
                pod.kill()
            assert other.poll() is None
            path.write_text(whole)
            monkeypatch.undo()
            pod.remove(force=True)
        finally:
            other.kill()


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), 1e12])
def test_what_is_no_grace_is_refused(engine: Engine, wrong: float) -> None:
    with engine.run(App("busybox", ["sleep", "1000"])) as pod, pytest.raises(InvalidInput):
        pod.stop(grace_s=wrong)


def test_nan_is_no_timeout(engine: Engine) -> None:
    with engine.run(App("busybox", ["sleep", "1000"])) as pod, pytest.raises(InvalidInput):
        pod.wait(timeout_s=float("nan"))


def test_an_app_that_ignores_its_stop_signal_on_purpose_has_its_grace(engine: Engine) -> None:
    with engine.run(App("busybox", ["sh", "-c", "trap '' TERM; echo ready; sleep 0.5; echo done"])) as pod:
        host_view.eventually("it ignores the signal", lambda: pod.logs().text() == "ready\n")
        pod.stop(grace_s=60)
        assert pod.logs().text() == "ready\ndone\n"
        assert pod.status().app("busybox").end == Exited(0)
