"""Fetching and unpacking a large image, from nothing: side by side with those who do it otherwise.

All get the same image from the same registry, into a store that is new each time; before each the file system
is written back, so that nobody waits for what another one wrote. podman makes its empty databases before the
clock runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from bench.figure import Figure, Sample, Skipped, Target, Unmeasurable
from bench.image_stores import CarobStore, ImageStore, LibraryStore, UmociStore
from bench.pairs import in_turn
from bench.places import write_back
from bench.registry import GZIP, ZSTD
from bench.setting import Setting

_ROUNDS = 7
_ROUNDS_ZSTD = 4
_ROUNDS_MEMORY = 3
_TARGET = Target(ratio=1 / 1.5)
_MEMORY_TARGET = Target(value=100)
_DURABLE = "… and all of it on disk"
_NOTE = "carob has written all back when a fetch returns; podman and umoci leave that to the kernel"


def pull(setting: Setting) -> Iterator[Figure | Skipped]:
    """The large image, cold, beside podman and beside skopeo and umoci; and the memory it takes."""
    yield from _cold(setting, "gzip", GZIP, setting.pairs(_ROUNDS))
    yield from _cold(setting, "zstd", ZSTD, setting.pairs(_ROUNDS_ZSTD))
    yield from _memory(setting)


class _Contestant:
    def __init__(self, store: ImageStore, address: str) -> None:
        self.name = store.name
        self._store = store
        self._address = address
        self._durable: list[float] = []

    def take(self) -> float:
        """Fetches the image into a new store; milliseconds."""
        self._store.renew()
        try:
            ms = self._store.fetch(self._address)
            self._durable.append(ms + write_back(self._store.path))
            return ms
        finally:
            self._store.drop()

    def durable(self, count: int) -> Sample:
        """The last ``count`` times, with what it took until all was on disk."""
        return Sample(tuple(self._durable[-count:]))


def _cold(setting: Setting, form: str, image: str, count: int) -> Iterator[Figure | Skipped]:
    what = f"fetch of the large image, {form}, cold"
    address = setting.registry.address(image)
    ours = _Contestant(carob_store(setting), address)
    library = _Contestant(LibraryStore(f"{setting.directory}/stores/library"), address)
    contestants = [ours, library]
    peers: list[tuple[_Contestant, Target | None]] = []
    for name, make, target in _peers(setting):
        try:
            peer = _Contestant(make(), address)
            peer.take()
        except Unmeasurable as error:
            yield Skipped(f"{what}, beside {name}", str(error))
        else:
            peers.append((peer, target))
            contestants.append(peer)
    samples = in_turn([one.take for one in contestants], count)
    note = f"{_NOTE}; {_sizes(setting, form)}"
    for (peer, target), sample in zip(peers, samples[2:], strict=True):
        yield Figure(what, samples[0], peer=peer.name, theirs=sample, target=target, note=note)
    for peer, target in peers:
        if target is not None:
            durable = ours.durable(count)
            yield Figure(f"{what} {_DURABLE}", durable, peer=peer.name, theirs=peer.durable(count))
    yield Figure(f"{what}, library", samples[1], peer=ours.name, theirs=samples[0])


def _peers(setting: Setting) -> list[tuple[str, Callable[[], ImageStore], Target | None]]:
    umoci = partial(UmociStore, f"{setting.directory}/stores/umoci", setting.spawner)
    return [
        ("podman", lambda: setting.podman_store, _TARGET),
        ("umoci unpack", lambda: umoci("unpack"), _TARGET),
        ("umoci raw unpack", lambda: umoci("raw", "unpack"), None),
    ]


def carob_store(setting: Setting) -> CarobStore:
    """A store for the command."""
    return CarobStore(f"{setting.directory}/stores/carob", setting.installed, setting.spawner)


def _sizes(setting: Setting, form: str) -> str:
    images = setting.registry.images
    packed, plain = (
        sum(layer["size"] for layer in image.layers()) / 1e6
        for image in (getattr(images, form), images.plain)
    )
    count = len(images.plain.layers())
    return f"the large image by {form}: {count} layers, {packed:.0f} MB, {plain:.0f} MB of tar"


def _memory(setting: Setting) -> Iterator[Figure | Skipped]:
    what = "peak memory of fetching the large image"
    address = setting.registry.address(GZIP)
    count = setting.pairs(_ROUNDS_MEMORY)
    store = carob_store(setting)

    def ours() -> float:
        store.renew()
        try:
            return setting.spawner.peak_mb(store.fetch_command(address))
        finally:
            store.drop()

    try:
        podman = setting.podman_store
    except Unmeasurable as error:
        yield Skipped(f"{what}, beside podman", str(error))
        (sample,) = in_turn([ours], count)
        yield Figure(what, sample, unit="MB", target=_MEMORY_TARGET)
        return

    def theirs() -> float:
        podman.renew()
        try:
            return setting.private_spawner.peak_mb(
                podman.fetch_command(address), environment=podman.environment
            )
        finally:
            podman.drop()

    mine, other = in_turn([ours, theirs], count)
    yield Figure(what, mine, unit="MB", peer=podman.name, theirs=other, target=_MEMORY_TARGET)
