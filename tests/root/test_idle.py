"""A pod that does nothing costs no processor: what keeps it sleeps until something happens."""

from __future__ import annotations

import time
from pathlib import Path

from carob import App, Engine
from tests.root import host_view
from tests.root.test_rest import restful as restful  # noqa: PLC0414 - a fixture
from tests.root.test_rest import resting

LOOKED_AT_S = 2.0


def times_woken(pid: int) -> int:
    """How often a process has run and slept again."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def test_nothing_wakes_up_for_a_pod_that_does_nothing(engine: Engine, restful: Engine) -> None:
    """Neither init nor its monitor, as it is at first and once it rests."""
    pods = [one.run(App("busybox", ["sleep", "1000"])) for one in (engine, restful)]
    resting(pods[1])
    keepers = {
        (number, which): host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), which)
        for number, pod in enumerate(pods)
        for which in ("init", "monitor")
    }
    time.sleep(0.3)  # what the start still had to do
    before = {name: times_woken(pid) for name, pid in keepers.items()}
    time.sleep(LOOKED_AT_S)
    woken = {name: times_woken(pid) - before[name] for name, pid in keepers.items()}
    for pod in pods:
        pod.remove(force=True)
    assert woken == dict.fromkeys(keepers, 0)
