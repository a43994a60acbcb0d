"""The nearest peer: ``crun run`` of the same root file system, isolated alike, and nothing around it.

The overlay stands before the clock runs; crun makes all the namespaces, the cgroup and the mounts that
carob's init and its crun make between them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from bench.figure import Unmeasurable
from bench.spawner import Spawner
from carob.linux import cgroup
from carob.runtime import bundle
from carob.runtime.confinement import usual

_GROUP = "/carob-bench"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POD_NAMESPACES = ("network", "ipc", "uts")


class BareCrun:
    """Up to three bundles, to be run alone or side by side, and two for other commands."""

    def __init__(self, directory: str, rootfs: str, spawner: Spawner) -> None:
        if shutil.which("crun") is None:
            raise Unmeasurable("crun is not installed")
        self._directory = directory
        self._spawner = spawner
        self._rootfs = rootfs
        self._bundles: list[str] = []
        for number in range(3):
            self._make_bundle(str(number), ["true"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cgroup.remove(_GROUP)
        merged = [os.path.join(self._directory, name, "rootfs") for name in self._bundles]
        self._spawner.run(["umount", *merged])

    def _make_bundle(self, name: str, argv: list[str]) -> None:
        place = os.path.join(self._directory, name)
        parts = {name: os.path.join(place, name) for name in ("upper", "work", "rootfs")}
        for path in parts.values():
            os.makedirs(path)
        options = f"lowerdir={self._rootfs},upperdir={parts['upper']},workdir={parts['work']}"
        self._spawner.run(["mount", "-t", "overlay", "overlay", "-o", options, parts["rootfs"]])
        self._bundles.append(name)
        process = bundle.Process(argv, [_PATH], "/", 0, 0)
        config = bundle.config(process, rootfs=parts["rootfs"], cgroup=f"{_GROUP}/{name}")
        config["linux"]["namespaces"] += [{"type": kind} for kind in _POD_NAMESPACES]
        config["hostname"] = "bench"
        with open(os.path.join(place, "config.json"), "w") as file:
            file.write(bundle.text(config, usual(os.uname().machine).filter))

    def run(self, count: int = 1) -> float:
        """Runs that many containers side by side to their ends; returns milliseconds."""
        return self._spawner.run(*[self._run(str(number)) for number in range(count)])[0]

    def write_much(self, argv: list[str]) -> float:
        """Runs a command to its end, what it writes going into a file; milliseconds."""
        name = "writer"
        if name not in self._bundles:
            self._make_bundle(name, argv)
        return self._spawner.run(self._run(name))[0]

    @contextlib.contextmanager
    def live(self) -> Iterator[Callable[[], float]]:
        """While in the block a container runs; what it gives executes true in it: milliseconds."""
        name = "live"
        self._make_bundle(name, ["sleep", "3600"])
        self._spawner.run(self._run(name, "--detach"), await_stragglers=False)
        command = [*self._crun("exec"), f"bench-{name}", "true"]
        try:
            yield lambda: self._spawner.run(command, await_stragglers=False)[0]
        finally:
            self._spawner.run([*self._crun("delete"), "--force", f"bench-{name}"])

    def _run(self, name: str, *options: str) -> list[str]:
        return [*self._crun("run"), *options, f"--bundle={self._directory}/{name}", f"bench-{name}"]

    def _crun(self, verb: str) -> list[str]:
        return ["crun", f"--root={self._directory}/state", "--cgroup-manager=cgroupfs", verb]
