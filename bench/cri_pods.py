"""Pods over CRI: what each of the kubelet's calls takes, and how many whole pods come and go."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bench.figure import Figure, Sample, Skipped, Target
from bench.pairs import MODES, Take, in_turn
from bench.setting import Setting

if TYPE_CHECKING:
    from bench.cri_client import CriClient

_PAIRS = 20
_STEPS = {
    "RunPodSandbox": Target(ratio=1),
    "CreateContainer + StartContainer": Target(ratio=1),
    "ExecSync of true": None,
    "StopPodSandbox + RemovePodSandbox": None,
}
_WORKERS = (1, 8)
_PODS = 16
_ROUNDS = 8
_RATE = Target(ratio=1 / 1.5)


def calls(setting: Setting) -> Iterator[Figure | Skipped]:
    """CRI: a sandbox on the network, a container in it, an exec, and its end, call by call."""
    pair = setting.cri
    yield from pair.lacking()
    for mode, gap_s in MODES:
        lives = [_Life(client) for client in pair.clients]
        count = setting.pairs(_PAIRS)
        in_turn([life.live for life in lives], count, gap_s)
        for step, target in _STEPS.items():
            samples = [Sample(tuple(life.taken[step][-count:])) for life in lives]
            yield pair.figure(f"CRI: {step}", samples, mode, target=target)


class _Life:
    """The life of a pod, again and again; ``taken`` is what each step took, in milliseconds."""

    def __init__(self, client: CriClient) -> None:
        self._client = client
        self.taken: dict[str, list[float]] = defaultdict(list)

    def live(self) -> float:
        client, config = self._client, self._client.config()
        moments = [time.perf_counter()]
        sandbox = client.run_sandbox(config)
        moments.append(time.perf_counter())
        container = client.start_container(sandbox, config)
        moments.append(time.perf_counter())
        client.execute(container)
        moments.append(time.perf_counter())
        client.remove_sandbox(sandbox)
        moments.append(time.perf_counter())
        for step, begin, end in zip(_STEPS, moments, moments[1:], strict=False):
            self.taken[step].append((end - begin) * 1e3)
        return (moments[-1] - moments[0]) * 1e3


def whole_pods(setting: Setting) -> Iterator[Figure | Skipped]:
    """CRI: whole pods on the network, run, stopped and removed, by one worker and by eight."""
    pair = setting.cri
    yield from pair.lacking()
    for workers in _WORKERS:
        with ThreadPoolExecutor(workers) as threads:
            takes = [_many(client, threads) for client in pair.clients]
            samples = in_turn(takes, setting.pairs(_ROUNDS))
        what = f"CRI: whole pod of one container, {workers} at a time, a pod"
        yield pair.figure(what, samples, target=_RATE)


def _many(client: CriClient, threads: ThreadPoolExecutor) -> Take:
    def one(_: int) -> None:
        config = client.config()
        sandbox = client.run_sandbox(config)
        client.start_container(sandbox, config)
        client.remove_sandbox(sandbox)

    def take() -> float:
        start = time.perf_counter()
        list(threads.map(one, range(_PODS)))
        return (time.perf_counter() - start) * 1e3 / _PODS

    return take
