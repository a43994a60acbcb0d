"""Taking samples in turn: A B A B, so that a machine that drifts drifts for both."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from bench.figure import BACK_TO_BACK, GAPS, Sample

GAP_S = 0.08
MODES = ((BACK_TO_BACK, 0.0), (GAPS, GAP_S))

Take = Callable[[], float]
"""Does the thing once and returns what it took, in milliseconds; what is not to be measured it leaves out."""


def timed(action: Callable[[], object]) -> Take:
    """Measures a whole call."""

    def take() -> float:
        start = time.perf_counter()
        action()
        return (time.perf_counter() - start) * 1e3

    return take


def sample(take: Take, count: int, gap_s: float = 0.0, *, warm_up: int = 1) -> Sample:
    """``count`` values of one thing alone, after ``warm_up`` that are thrown away."""
    return in_turn([take], count, gap_s, warm_up=warm_up)[0]


def in_turn(takes: list[Take], count: int, gap_s: float = 0.0, *, warm_up: int = 1) -> list[Sample]:
    """``count`` values of each, in rounds of one after the other. Python's collector is off meanwhile."""
    found: list[list[float]] = [[] for _ in takes]
    gc.collect()
    gc.disable()
    try:
        for number in range(-warm_up, count):
            for at, take in enumerate(takes):
                if gap_s:
                    time.sleep(gap_s)
                value = take()
                if number >= 0:
                    found[at].append(value)
    finally:
        gc.enable()
    return [Sample(tuple(values)) for values in found]
