"""The nearest peer: ``crun run`` of the same root file system, isolated alike, and nothing around it.

The overlay stands before the clock runs; crun makes all the namespaces, the cgroup and the mounts that
carob's init and its crun make between them.
"""

from __future__ import annotations

import json
import os
import shutil
from types import TracebackType
from typing import Self

from bench.figure import Unmeasurable
from bench.spawner import Spawner
from carob.linux import cgroup
from carob.runtime import bundle

_GROUP = "/carob-bench"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POD_NAMESPACES = ("network", "ipc", "uts")


class BareCrun:
    """Up to three bundles, to be run alone or side by side."""

    def __init__(self, directory: str, rootfs: str, spawner: Spawner) -> None:
        if shutil.which("crun") is None:
            raise Unmeasurable("crun is not installed")
        self._directory = directory
        self._spawner = spawner
        for number in range(3):
            self._make_bundle(number, rootfs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cgroup.remove(_GROUP)
        merged = [os.path.join(self._directory, str(number), "rootfs") for number in range(3)]
        self._spawner.run(["umount", *merged])

    def _make_bundle(self, number: int, lower: str) -> None:
        place = os.path.join(self._directory, str(number))
        parts = {name: os.path.join(place, name) for name in ("upper", "work", "rootfs")}
        for path in parts.values():
            os.makedirs(path)
        options = f"lowerdir={lower},upperdir={parts['upper']},workdir={parts['work']}"
        self._spawner.run(["mount", "-t", "overlay", "overlay", "-o", options, parts["rootfs"]])
        process = bundle.Process(["true"], [_PATH], "/", 0, 0)
        config = bundle.config(process, rootfs=parts["rootfs"], cgroup=f"{_GROUP}/{number}")
        config["linux"]["namespaces"] += [{"type": kind} for kind in _POD_NAMESPACES]
        config["hostname"] = "bench"
        with open(os.path.join(place, "config.json"), "w") as file:
            json.dump(config, file)

    def run(self, count: int = 1) -> float:
        """Runs that many containers side by side to their ends; returns milliseconds."""
        commands = [
            [
                "crun", f"--root={self._directory}/state", "--cgroup-manager=cgroupfs", "run",
                f"--bundle={self._directory}/{number}", f"bench-{number}",
            ]
            for number in range(count)
        ]  # fmt: skip
        return self._spawner.run(*commands)[0]
