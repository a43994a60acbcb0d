"""What is done with a single pod: its status, its removal, its collection."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.figure import Figure, Skipped, Unmeasurable
from bench.pairs import MODES, in_turn, sample, timed
from bench.setting import Setting
from carob.engine.handle import PodHandle

_STATUSES = 200
_REMOVALS = 20
_PODMAN_REMOVALS = 6


def status(setting: Setting) -> Iterator[Figure | Skipped]:
    """``PodHandle.status`` of a running and of an exited pod."""
    pod = setting.engine.run(setting.app("sleep", "3600"))
    try:
        for mode, gap_s in MODES:
            count = setting.pairs(_STATUSES // 5 if gap_s else _STATUSES)
            yield Figure("library: status, running pod", sample(timed(pod.status), count, gap_s), mode)
        pod.kill()
        for mode, gap_s in MODES:
            count = setting.pairs(_STATUSES // 5 if gap_s else _STATUSES)
            yield Figure("library: status, exited pod", sample(timed(pod.status), count, gap_s), mode)
    finally:
        pod.remove(force=True)


def removal(setting: Setting) -> Iterator[Figure | Skipped]:
    """Taking one exited pod away, by rm and by gc."""

    def remove() -> float:
        return timed(_exited(setting).remove)()

    def collect() -> float:
        _exited(setting)
        start = time.perf_counter()
        collection = setting.engine.gc(grace_s=0)
        ms = (time.perf_counter() - start) * 1e3
        if len(collection.deleted) != 1:
            raise Unmeasurable(f"gc did not delete the one pod: {collection}")
        return ms

    for what, take in (("library: rm a pod", remove), ("library: gc a pod", collect)):
        for mode, gap_s in MODES:
            yield Figure(what, sample(take, setting.pairs(_REMOVALS), gap_s), mode)
    try:
        podman = setting.podman
        takes = [remove, lambda: podman.run_and_remove()[1]]
        ours, theirs = in_turn(takes, setting.pairs(_PODMAN_REMOVALS))
        yield Figure("library: rm a pod", ours, MODES[0][0], peer="podman rm", theirs=theirs)
    except Unmeasurable as error:
        yield Skipped("rm, beside podman", str(error))


def _exited(setting: Setting) -> PodHandle:
    pod = setting.engine.run(setting.app("true"))
    pod.wait()
    return pod
