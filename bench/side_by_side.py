"""Many pods started at once: how near the processors come to be the only bound."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench.figure import Figure, Sample, Skipped, Target
from bench.pairs import in_turn, sample
from bench.run_to_exit import runner
from bench.setting import Setting

_PODS = 16
_ROUNDS = 6
_ALONE = 32
_TARGET = Target(ratio=1.5)


def sixteen(setting: Setting) -> Iterator[Figure | Skipped]:
    """Sixteen pods of true, each run to its exit and removed, by as many threads."""
    take = runner(setting, setting.engine)
    with ThreadPoolExecutor(_PODS) as threads:

        def together() -> float:
            start = time.perf_counter()
            list(threads.map(lambda _: take(), range(_PODS)))
            return (time.perf_counter() - start) * 1e3

        def one_by_one() -> float:
            start = time.perf_counter()
            for _ in range(_PODS):
                take()
            return (time.perf_counter() - start) * 1e3

        at_once, in_a_row = in_turn([together, one_by_one], setting.pairs(_ROUNDS))
    what = f"{_PODS} pods at once, run to exit and removed"
    yield Figure(what, at_once, peer="one after the other", theirs=in_a_row)
    floor_ms = _PODS * _processor_ms(setting) / (os.cpu_count() or 1)
    yield Figure(
        what,
        at_once,
        peer="their processor time / processors",
        theirs=Sample((floor_ms,)),
        target=_TARGET,
        note="processor time is all that the machine spends while pods are run one after the other, idle off",
    )


def _processor_ms(setting: Setting) -> float:
    """What one pod takes of all processors together, the kernel's part included."""
    count = setting.pairs(_ALONE)
    before = busy_ms()
    sample(runner(setting, setting.engine), count, warm_up=0)
    return (busy_ms() - before) / count


def busy_ms() -> float:
    """The time of all processors that was not idle and did not wait for a disk (proc_stat(5))."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, irq, softirq = map(int, file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) * 1e3 / os.sysconf("SC_CLK_TCK")
