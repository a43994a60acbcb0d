"""An app that writes much: from its start until all is in the log, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, Sample, Skipped, Unmeasurable
from bench.pairs import in_turn
from bench.setting import Setting
from bench.side_by_side import busy_ms

_LINES = 1_000_000
_LINE = "x" * 79
_BYTES = _LINES * (len(_LINE) + 1)
_ROUNDS = 5
_LOGS = "pods/*/{}/carob/logs/*"
_WRITE = f"busybox yes {_LINE} | busybox head -n {_LINES}"


def logs(setting: Setting) -> Iterator[Figure | Skipped]:
    """80 MB in lines of 80 bytes: a pod's log beside podman's k8s-file and crun's output into a file."""
    app = setting.app("sh", "-c", _WRITE)
    busy: list[float] = []

    def ours() -> float:
        before, start = busy_ms(), time.perf_counter()
        pod = setting.engine.run(app)
        pod.wait()
        ms = (time.perf_counter() - start) * 1e3
        busy.append(busy_ms() - before)
        written = sum(
            path.stat().st_size for path in Path(setting.engine.data_dir).glob(_LOGS.format(pod.uuid))
        )
        pod.remove()
        if written < _BYTES:
            raise Unmeasurable(f"the log has {written} bytes of {_BYTES}")
        return ms

    what = "a million lines of 80 bytes into the log"
    count = setting.pairs(_ROUNDS)
    for name, peer in (
        ("crun run > FILE", lambda: setting.crun.write_much(["sh", "-c", _WRITE])),
        ("podman", lambda: setting.podman.write_much(["sh", "-c", _WRITE])),
    ):
        try:
            samples = in_turn([ours, peer], count)
        except Unmeasurable as error:
            yield Skipped(f"{what}, beside {name}", str(error))
            continue
        yield Figure(what, samples[0], peer=name, theirs=samples[1])
    if busy:
        yield Figure(f"{what}: processor time", Sample(tuple(busy)))
