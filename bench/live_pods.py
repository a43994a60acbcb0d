"""Many live pods: what they cost while nothing happens, and what it takes to list and to stop them all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench.figure import Figure, Sample, Skipped, Target, Unmeasurable
from bench.memory import SETTLE_S, pair_mb
from bench.pairs import sample, timed
from bench.setting import Setting
from carob.engine.handle import PodHandle

_COUNT = 500
_COUNT_QUICK = 50
_LOOKED_AT = 50
_IDLE_S = 5.0
_LISTINGS = 10
_HANDS = 4


def live(setting: Setting) -> Iterator[Figure | Skipped]:
    """500 live pods: memory, wake-ups and processor time while idle, list, and stop of all."""
    count = _COUNT_QUICK if setting.quick else _COUNT
    pods: list[PodHandle] = []
    app = setting.app("sleep", "3600")
    try:
        with ThreadPoolExecutor(_HANDS) as hands:
            start = time.perf_counter()
            pods += hands.map(lambda _: setting.engine.run(app), range(count))
            ms = (time.perf_counter() - start) * 1e3
            yield Figure(f"start of {count} pods, {_HANDS} at a time, a pod", Sample((ms / count,)))
            time.sleep(SETTLE_S)
            yield from _idle(pods[:: max(1, count // _LOOKED_AT)], count)
            listing = sample(timed(setting.engine.list), _LISTINGS)
            yield Figure(f"library: list {count} running pods whole", listing)
            start = time.perf_counter()
            list(hands.map(lambda pod: pod.stop(grace_s=0), pods))
            ms = (time.perf_counter() - start) * 1e3
            yield Figure(f"stop of {count} pods without grace, {_HANDS} at a time", Sample((ms,)))
    finally:
        for pod in pods:
            pod.remove(force=True)


def _idle(pods: list[PodHandle], count: int) -> Iterator[Figure]:
    pairs = [(status.monitor_pid, status.pid) for status in (pod.status() for pod in pods)]
    sizes = Sample(tuple(pair_mb(*pair) for pair in pairs))
    what = f"monitor + init of one of {count} live pods"
    yield Figure(f"{what}: memory", sizes, unit="MB", target=Target(value=4))
    keepers = [pid for pair in pairs for pid in pair if pid is not None]
    before = [_activity(pid) for pid in keepers]
    time.sleep(_IDLE_S)
    after = [_activity(pid) for pid in keepers]
    wake_ups = sum(now[0] - then[0] for now, then in zip(after, before, strict=True))
    ticks = sum(now[1] - then[1] for now, then in zip(after, before, strict=True))
    a_minute = 60 / _IDLE_S / len(pairs)
    none = Target(value=0)
    yield Figure(f"{what}: wake-ups a minute, idle", Sample((wake_ups * a_minute,)), unit="", target=none)
    yield Figure(f"{what}: ticks a minute, idle", Sample((ticks * a_minute,)), unit="")


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
