"""What a live pod costs in memory: the proportional set size (PSS) of its monitor and its init together."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.figure import Figure, Sample, Skipped, Target, Unmeasurable
from bench.setting import Setting
from carob.engine.handle import PodHandle
from carob.supervisor.rest import AFTER_S

_COUNTS = (1, 100)
_COUNTS_QUICK = (1, 10)
SETTLE_S = AFTER_S + 2  # until the monitors rest


def memory(setting: Setting) -> Iterator[Figure | Skipped]:
    """The pair's PSS with one and with many pods: the more there are, the more pages are shared."""
    pods: list[PodHandle] = []
    try:
        for count in _COUNTS_QUICK if setting.quick else _COUNTS:
            while len(pods) < count:
                pods.append(setting.engine.run(setting.app("sleep", "3600")))
            time.sleep(SETTLE_S)
            statuses = [pod.status() for pod in pods]
            pairs = [(status.monitor_pid, status.pid) for status in statuses]
            sizes = [pair_mb(*pair) for pair in pairs]
            yield Figure(
                f"memory of monitor + init, live pods: {count}",
                Sample(tuple(sizes)),
                unit="MB",
                target=Target(value=4) if count == _COUNTS[-1] else None,
            )
    finally:
        for pod in pods:
            pod.remove(force=True)


def pair_mb(monitor: int | None, init: int | None) -> float:
    """The proportional set size of a pod's two keepers together."""
    return pss_mb(monitor) + pss_mb(init)


def pss_mb(pid: int | None) -> float:
    if pid is None:
        raise Unmeasurable("a pod's monitor or init is gone")
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    raise Unmeasurable("this kernel tells no PSS")
