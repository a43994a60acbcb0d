"""A monitor that has nothing to do becomes a shell, and a monitor again when there is something."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from carob import App, Engine, Exited, PodHandle, Signaled, Unknown
from tests.architecture.sources import SRC
from tests.root import host_view

SOON_S = 60
RESTING = str(Path(__file__).with_name("soon_resting_supervisor.py"))
POLITE = "trap 'exit 5' TERM; echo ready; while :; do sleep 1000 & wait $!; done"


@pytest.fixture
def restful(engine: Engine) -> Engine:
    """The same engine, whose monitors rest after a tenth of a second."""
    return Engine(engine.data_dir, launcher=("-S", RESTING))


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


def resting(pod: PodHandle) -> int:
    """The pid of the pod's monitor, once it rests."""
    monitor = pod.status().monitor_pid
    assert monitor is not None
    host_view.eventually("the monitor rests", lambda: command_line(monitor)[0] == "carob-monitor")
    host_view.eventually("the shell handles SIGTERM", lambda: catches(monitor, signal.SIGTERM))
    return monitor


def catches(pid: int, number: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(mask, 16) & 1 << number - 1)


def run(engine: Engine, script: str = POLITE) -> PodHandle:
    pod = engine.run(App("busybox", ["sh", "-c", script]))
    if script == POLITE:
        host_view.eventually("the app is ready", lambda: pod.logs().text() == "ready\n")
    return pod


def test_a_resting_monitor_ends_its_pod_as_any(restful: Engine) -> None:
    pod = run(restful, "sleep 1; exit 4")
    monitor = resting(pod)
    status = pod.status()
    assert (str(status.state), status.monitor_pid) == ("running", monitor)
    assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(4)}
    assert pod.status().outcome == "app failed"
    pod.remove()
    host_view.nothing_left(restful.data_dir, pod.uuid)


def test_a_resting_monitor_is_small(restful: Engine) -> None:
    pod = run(restful)
    rollup = Path(f"/proc/{resting(pod)}/smaps_rollup").read_text().splitlines()
    sizes_kb = {line.split(":")[0]: int(line.split()[1]) for line in rollup if line.endswith("kB")}
    assert sizes_kb["Private_Dirty"] < 500  # a Python has 2,000 and more
    pod.remove(force=True)


def test_sigterm_to_a_resting_monitor_stops_the_pod(restful: Engine) -> None:
    pod = run(restful)
    os.kill(resting(pod), signal.SIGTERM)
    assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(5)}


def test_sigkill_of_init_is_seen_and_cleaned_up_after(restful: Engine) -> None:
    pod = run(restful)
    resting(pod)
    init = pod.status().pid
    assert init is not None
    os.kill(init, signal.SIGKILL)
    end = pod.wait(timeout_s=SOON_S)
    assert pod.status().outcome == "killed"
    assert isinstance(end.apps["busybox"], Unknown)
    pod.remove()
    host_view.nothing_left(restful.data_dir, pod.uuid)


def test_a_resting_monitor_that_is_killed_leaves_its_pod_alone(restful: Engine) -> None:
    pod = run(restful)
    os.kill(resting(pod), signal.SIGKILL)
    pod.stop()
    assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(5)}
    pod.remove()
    host_view.nothing_left(restful.data_dir, pod.uuid)


def test_what_init_said_meanwhile_is_not_lost(restful: Engine) -> None:
    pod = run(restful)
    resting(pod)
    pod.pause()
    pod.kill()
    assert pod.wait(timeout_s=SOON_S).apps.keys() == {"busybox"}
    pod.remove()
    host_view.nothing_left(restful.data_dir, pod.uuid)


def test_a_pod_is_removed_with_its_caller_by_a_monitor_that_rested(restful: Engine) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            pod = restful.run(App("busybox", ["sleep", "1000"]), tied=True)
            os.write(write, pod.uuid.encode())
            resting(pod)
        finally:
            os._exit(0)
    os.close(write)
    uuid = os.read(read, 64).decode()
    os.close(read)
    os.waitpid(child, 0)
    host_view.eventually(
        "the pod is removed", lambda: not list(Path(restful.data_dir, "pods").glob(f"*/{uuid}"))
    )
    host_view.nothing_left(restful.data_dir, uuid)


def test_without_its_carob_the_pod_ends_all_the_same(engine: Engine, tmp_path: Path) -> None:
    """Whoever upgrades or deletes the environment while a monitor rests leaves the rest to gc."""
    copy = tmp_path / "elsewhere"
    shutil.copytree(SRC / "carob", copy / "carob", ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        f"import sys; sys.path.insert(0, {str(copy)!r}); from carob import App, Engine; "
        f"engine = Engine({engine.data_dir!r}, launcher=('-S', {RESTING!r})); "
        "print(engine.run(App('busybox', ['sleep', '1000'])).uuid)"
    )
    uuid = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    pod = engine.get(uuid)
    resting(pod)
    shutil.rmtree(copy)
    pod.stop(grace_s=0)
    assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Signaled(9)}
    assert engine.gc(grace_s=0).problems == []
    host_view.nothing_left(engine.data_dir, uuid)
