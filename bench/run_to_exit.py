"""From the library's call to the end of the pod, for pods of one and of three apps that run true.

The library is warm: imported, the image unpacked. Removal is not counted, for no contestant. The targets are
for an engine with one supervisor standing by, which is how a program that runs pod after pod would use it; an
engine that keeps nothing ready is measured beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from bench.figure import Figure, Skipped, Target, Unmeasurable
from bench.pairs import MODES, in_turn
from bench.setting import Setting
from carob import Engine
from carob.engine.observe.ends import Exited

_CRUN_PAIRS = 40
_PODMAN_PAIRS = 8
_CRUN_TARGETS = (Target(ratio=2.3), Target(ratio=1.4))
_PODMAN_TARGET = Target(ratio=1 / 6)
_COLD = "run to exit of true, nothing standing by"


def one_app(setting: Setting) -> Iterator[Figure | Skipped]:
    """A pod of one app."""
    with setting.standby_engine() as engine:
        yield from _beside_crun(setting, engine, 1, "run to exit of true", _CRUN_TARGETS)
        yield from _beside_podman(setting, engine, "run to exit of true", 1, _PODMAN_TARGET)
    yield from _beside_crun(setting, setting.engine, 1, _COLD, (None, None))
    yield from _beside_podman(setting, setting.engine, _COLD, 1, None)


def three_apps(setting: Setting) -> Iterator[Figure | Skipped]:
    """A pod of three."""
    with setting.standby_engine() as engine:
        yield from _beside_crun(setting, engine, 3, "run to exit, three apps", (None, None))
        yield from _beside_podman(setting, engine, "run to exit, three apps", 3, None)


def runner(setting: Setting, engine: Engine, apps: int = 1) -> Callable[[], float]:
    """Runs a pod of true to its end: milliseconds without the removal, which follows."""
    specifications = [setting.app("true", name=f"true-{number}") for number in range(apps)]

    def take() -> float:
        start = time.perf_counter()
        pod = engine.run(*specifications)
        end = pod.wait()
        ms = (time.perf_counter() - start) * 1e3
        pod.remove()
        if any(one != Exited(0) for one in end.apps.values()):
            raise Unmeasurable(f"true did not end with 0: {end}")
        return ms

    return take


def _beside_crun(
    setting: Setting, engine: Engine, apps: int, what: str, targets: tuple[Target | None, Target | None]
) -> Iterator[Figure | Skipped]:
    peer = "crun run" if apps == 1 else f"{apps} x crun run, side by side"
    try:
        crun = setting.crun
    except Unmeasurable as error:
        yield Skipped(f"{what}, beside {peer}", str(error))
        return
    for (mode, gap_s), target in zip(MODES, targets, strict=True):
        count = setting.pairs(_CRUN_PAIRS)
        ours, theirs = in_turn(
            [runner(setting, engine, apps), lambda: crun.run(apps)], count, gap_s, warm_up=2
        )
        yield Figure(what, ours, mode, peer=peer, theirs=theirs, target=target)


def _beside_podman(
    setting: Setting, engine: Engine, what: str, apps: int, target: Target | None
) -> Iterator[Figure | Skipped]:
    try:
        podman = setting.podman
        peer = f"podman {'run' if apps == 1 else 'pod'} ({podman.runtime})"
        run = podman.run if apps == 1 else partial(podman.run_pod, apps)
        for mode, gap_s in MODES:
            count = setting.pairs(_PODMAN_PAIRS)
            ours, theirs = in_turn([runner(setting, engine, apps), run], count, gap_s)
            yield Figure(what, ours, mode, peer=peer, theirs=theirs, target=target)
    except Unmeasurable as error:
        yield Skipped(f"{what}, beside podman", str(error))
