"""Many live pods: what they cost while nothing happens, and what it takes to list and to stop them all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from bench.figure import Figure, Sample, Skipped, Target, Unmeasurable
from bench.memory import SETTLE_S, pair_mb
from bench.pairs import sample, timed
from bench.setting import IMAGE, Setting
from carob import App, Probe
from carob.engine.handle import PodHandle

_COUNT = 500
_COUNT_QUICK = 50
_LOOKED_AT = 50
_IDLE_S = 5.0
_LISTINGS = 10
_HANDS = 4
_PERIOD_S = 10.0


def live(setting: Setting) -> Iterator[Figure | Skipped]:
    """500 live pods: memory, wake-ups and processor time while idle, list, stop of all; 50 with probes."""
    count = _COUNT_QUICK if setting.quick else _COUNT
    with _running(setting, setting.app("sleep", "3600"), count) as (pods, start_ms):
        yield Figure(f"start of {count} pods, {_HANDS} at a time, a pod", Sample((start_ms / count,)))
        what = f"monitor + init of one of {count} live pods"
        memory, wake_ups, ticks = _idle(pods[:: max(1, count // _LOOKED_AT)])
        yield Figure(f"{what}: memory", memory, unit="MB", target=Target(value=4))
        yield Figure(f"{what}: wake-ups a minute, idle", wake_ups, unit="", target=Target(value=0))
        yield Figure(f"{what}: ticks a minute, idle", ticks, unit="")
        listing = sample(timed(setting.engine.list), _LISTINGS)
        yield Figure(f"library: list {count} running pods whole", listing)
        with ThreadPoolExecutor(_HANDS) as hands:
            start = time.perf_counter()
            list(hands.map(lambda pod: pod.stop(grace_s=0), pods))
            ms = (time.perf_counter() - start) * 1e3
        yield Figure(f"stop of {count} pods without grace, {_HANDS} at a time", Sample((ms,)))
    probed = App(IMAGE, ["sleep", "3600"], liveness=Probe(exec=["true"], period_s=_PERIOD_S))
    with _running(setting, probed, _LOOKED_AT) as (pods, _):
        what = f"monitor + init of one of {_LOOKED_AT} live pods, a program as probe every {_PERIOD_S:g} s"
        memory, wake_ups, ticks = _idle(pods)
        yield Figure(f"{what}: memory", memory, unit="MB")
        yield Figure(f"{what}: wake-ups a minute", wake_ups, unit="")
        yield Figure(f"{what}: ticks a minute", ticks, unit="")


@contextmanager
def _running(setting: Setting, app: App, count: int) -> Iterator[tuple[list[PodHandle], float]]:
    """So many pods of the app, settled, and how long it took to start them (ms)."""
    pods: list[PodHandle] = []
    try:
        with ThreadPoolExecutor(_HANDS) as hands:
            start = time.perf_counter()
            pods += hands.map(lambda _: setting.engine.run(app), range(count))
            ms = (time.perf_counter() - start) * 1e3
        time.sleep(SETTLE_S)
        yield pods, ms
    finally:
        for pod in pods:
            pod.remove(force=True)


def _idle(pods: list[PodHandle]) -> tuple[Sample, Sample, Sample]:
    """Memory of a pod's pair (MB), and its wake-ups and clock ticks a minute while nothing is asked of it."""
    pairs = [(status.monitor_pid, status.pid) for status in (pod.status() for pod in pods)]
    sizes = Sample(tuple(pair_mb(*pair) for pair in pairs))
    keepers = [pid for pair in pairs for pid in pair if pid is not None]
    before = [_activity(pid) for pid in keepers]
    time.sleep(_IDLE_S)
    after = [_activity(pid) for pid in keepers]
    wake_ups = sum(now[0] - then[0] for now, then in zip(after, before, strict=True))
    ticks = sum(now[1] - then[1] for now, then in zip(after, before, strict=True))
    a_minute = 60 / _IDLE_S / len(pairs)
    return sizes, Sample((wake_ups * a_minute,)), Sample((ticks * a_minute,))


def _activity(pid: int) -> tuple[int, int]:
    """How often a process has gone to sleep, and the clock ticks it has used (proc_pid_status(5))."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            slept = next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except FileNotFoundError as error:
        raise Unmeasurable("a pod's monitor or init is gone") from error
    return slept, int(fields[11]) + int(fields[12])
