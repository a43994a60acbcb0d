"""CRI with many pods, and with many calls: what lists take, and what the service keeps in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import linear_regression
from typing import TYPE_CHECKING

from bench.cri_pair import PEER
from bench.figure import Figure, Sample, Skipped, Target, Unmeasurable
from bench.pairs import MODES, Take, in_turn, timed
from bench.setting import Setting

if TYPE_CHECKING:
    from bench.cri_client import CriClient

_PODS, _PODS_QUICK = 500, 50
_LISTINGS = 20
_LISTS = ("ListPodSandbox", "ListContainers")
_LIST = Target(ratio=2)
_MEMORY = Target(value=80)
_CALLS, _CALLS_QUICK = 10_000, 1_000
_LOOKED_AT = 20
_LOOKS = 6
"""Calls of each kind that looks, for one exec and the five calls of a whole pod."""
_FLAT = Target(value=1)
_SETTLE_S = 2


def many_pods(setting: Setting) -> Iterator[Figure | Skipped]:
    """CRI: lists of 500 sandboxes and containers, and the service's memory with them."""
    pair = setting.cri
    yield from pair.lacking()
    count = _PODS_QUICK if setting.quick else _PODS
    try:
        for client in pair.clients:
            client.run_pods(count)
        for method in _LISTS:
            for mode, gap_s in MODES:
                takes = [_listing(client, method, count) for client in pair.clients]
                samples = in_turn(takes, setting.pairs(_LISTINGS), gap_s)
                yield pair.figure(f"CRI: {method} of {count}", samples, mode, target=_LIST)
        time.sleep(_SETTLE_S)
        sizes = [Sample((client.memory_mb(),)) for client in pair.clients]
        yield pair.figure(f"CRI: memory of the service, {count} pods", sizes, unit="MB", target=_MEMORY)
    finally:
        for client in pair.clients:
            client.remove_all()


def _listing(client: CriClient, method: str, count: int) -> Take:
    def listed() -> None:
        answer = client.call(method)
        found = len(answer.items if method == "ListPodSandbox" else answer.containers)
        if found != count:
            raise Unmeasurable(f"{method} tells of {found}, not of {count}")

    return timed(listed)


def many_calls(setting: Setting) -> Iterator[Figure | Skipped]:
    """CRI: what the service's memory gains over 10,000 calls."""
    pair = setting.cri
    yield from pair.lacking()
    count = _CALLS_QUICK if setting.quick else _CALLS
    what = f"CRI: memory gained over {count:,} calls"
    for client in pair.clients:  # two lines: gains, which may be losses, have no ratio
        gained = Sample((_gain_mb(client, count),))
        is_ours = client is pair.ours
        yield Figure(
            what if is_ours else f"{what}, {PEER}", gained, unit="MB", target=_FLAT if is_ours else None
        )


def _gain_mb(client: CriClient, count: int) -> float:
    """The slope through the sizes after each twentieth of the calls; what comes before is warming up."""
    each = count // _LOOKED_AT
    sizes = []
    kept = client.run_pod()
    try:
        for _ in range(_LOOKED_AT // 4):
            _some_calls(client, kept, each)
        for _ in range(_LOOKED_AT):
            _some_calls(client, kept, each)
            sizes.append(client.memory_mb())
    finally:
        client.remove_sandbox(kept[0])
    return linear_regression(range(_LOOKED_AT), sizes).slope * _LOOKED_AT


def _some_calls(client: CriClient, kept: tuple[str, str], count: int) -> None:
    """What a kubelet calls, more of what it calls more often; an exec and a whole pod now and then."""
    sandbox, container = kept
    looks: tuple[tuple[str, dict[str, str]], ...] = (
        ("ListPodSandbox", {}),
        ("ListContainers", {}),
        ("PodSandboxStatus", {"pod_sandbox_id": sandbox}),
        ("ContainerStatus", {"container_id": container}),
        ("ListContainerStats", {}),
        ("ImageService/ListImages", {}),
        ("Status", {}),
    )
    for _ in range(max(1, count // (len(looks) * _LOOKS + 6))):
        for method, fields in looks * _LOOKS:
            client.call(method, **fields)
        client.execute(container)
        client.remove_sandbox(client.run_pod()[0])
