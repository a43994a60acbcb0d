"""What the measurements share: a temporary data directory with an image, the peers, and their removal."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TypeVar, cast

from bench import root_filesystem
from bench.bare_crun import BareCrun
from bench.cri_pair import CriPair
from bench.figure import Unmeasurable
from bench.installed import Installed
from bench.podman import Podman
from bench.podman_store import PodmanStore
from bench.registry import LoadedRegistry
from bench.spawner import Spawner
from carob import App, Engine
from carob.linux import cgroup

IMAGE = "busybox"
Made = TypeVar("Made")
Kept = TypeVar("Kept", BareCrun, Podman, PodmanStore, LoadedRegistry, CriPair)


class Setting:
    """Made once a run. ``engine`` has the image ``busybox``; peers are made when first asked for."""

    def __init__(self, directory: str, stack: contextlib.ExitStack, *, quick: bool) -> None:
        self.directory = directory
        self.quick = quick
        self._stack = stack
        self._made: dict[str, object] = {}
        self.rootfs = root_filesystem.make(os.path.join(directory, "rootfs"))
        self.engine = Engine(os.path.join(directory, "data"))
        stack.callback(empty, self.engine)
        self.engine.images.import_path(self.rootfs, name=IMAGE)

    def standby_engine(self) -> Engine:
        """An engine on the same data directory that keeps one supervisor ready; to be used with ``with``."""
        return Engine(self.engine.data_dir, standby=1)

    def pairs(self, count: int) -> int:
        """How many samples to take: fewer in a quick run."""
        return max(3, count // 4) if self.quick else count

    def app(self, *argv: str, name: str | None = None) -> App:
        """An app of the image."""
        return App(IMAGE, list(argv), name=name)

    @cached_property
    def spawner(self) -> Spawner:
        """For commands of the host as it is."""
        return self._stack.enter_context(Spawner())

    @cached_property
    def private_spawner(self) -> Spawner:
        """For the peers, in a mount namespace of their own."""
        return self._stack.enter_context(Spawner(private=True))

    @property
    def crun(self) -> BareCrun:
        """Bare crun; ``Unmeasurable`` where it is not there or cannot run."""
        place = os.path.join(self.directory, "crun")
        return self._once(lambda: self._kept(BareCrun(place, self.rootfs, self.private_spawner)), place)

    @property
    def podman(self) -> Podman:
        """Podman with a storage of its own; ``Unmeasurable`` where it is not there or cannot run."""
        place = os.path.join(self.directory, "podman")
        return self._once(lambda: self._kept(Podman(place, self.rootfs, self.private_spawner)), place)

    @property
    def installed(self) -> Installed:
        """carob as a wheel in an environment of its own; ``Unmeasurable`` where that cannot be made."""
        place = os.path.join(self.directory, "installed")
        return self._once(lambda: Installed(place, self.spawner), place)

    @property
    def registry(self) -> LoadedRegistry:
        """A registry with the large images; ``Unmeasurable`` where there is none, or they cannot be made."""
        place = os.path.join(self.directory, "registry")
        return self._once(lambda: self._kept(LoadedRegistry(place)), place)

    @property
    def podman_store(self) -> PodmanStore:
        """Podman for images alone; ``Unmeasurable`` where it is not there or has no storage."""
        place = os.path.join(self.directory, "p")  # podman takes no run directory of more than 50 letters
        return self._once(lambda: self._kept(PodmanStore(place, self.private_spawner)), place)

    @property
    def cri(self) -> CriPair:
        """carob's CRI service and containerd's; ``Unmeasurable`` where not even ours can run."""
        place = os.path.join(self.directory, "cri")
        return self._once(lambda: self._kept(CriPair(place, self.rootfs)), place)

    def _kept(self, made: Kept) -> Kept:
        return self._stack.enter_context(made)

    def _once(self, make: Callable[[], Made], place: str) -> Made:
        """What ``make`` made the first time, or the reason why it could not."""
        if place not in self._made:
            try:
                self._made[place] = make()
            except Unmeasurable as error:
                self._made[place] = error
        made = self._made[place]
        if isinstance(made, Unmeasurable):
            raise made
        return cast("Made", made)


@contextlib.contextmanager
def setting(parent: str | None, *, quick: bool) -> Iterator[Setting]:
    """A setting in a new directory below ``parent``: on a disk, for durable writes are measured too."""
    directory = tempfile.mkdtemp(prefix="carob-bench-", dir=parent or "/var/tmp")
    try:
        with contextlib.ExitStack() as stack:
            yield Setting(directory, stack, quick=quick)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if os.path.lexists(directory):
            shutil.rmtree(directory)  # once more, and now with the reason


def empty(engine: Engine) -> None:
    """Ends and removes all pods of an engine."""
    for status in engine.list():
        engine.handle(status.uuid).remove(force=True)
    engine.gc(grace_s=0, expire_prepared_s=0)
    cgroup.remove_parent("/carob")
