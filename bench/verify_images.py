"""Reading the store again: its blobs, and its unpacked layers, beside sha256sum of the same files.

All of it is in the page cache, for all. sha256sum is one process with one thread; carob uses as many threads
as there are processors. Of a layer carob also compares types, modes, owners, times, attributes and links, and
looks for files that should not be there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from bench.figure import Figure, Sample, Skipped, Unmeasurable
from bench.pairs import in_turn, timed
from bench.registry import GZIP
from bench.setting import Setting
from carob import Engine
from carob.image.layers.record import check_layer
from carob.image.layers.trees import Trees

_ROUNDS = 9
_UNIT = "MB/s"
_PEER = "sha256sum of the same files"


def verify(setting: Setting) -> Iterator[Figure | Skipped]:
    """Throughput of verifying blobs, and unpacked layers; more is better."""
    packed = Engine(os.path.join(setting.directory, "verify-blobs"))
    packed.images.fetch(setting.registry.address(GZIP), unpack=False)
    blobs = _files(os.path.join(packed.data_dir, "images/blobs"))
    yield _throughput(setting, "library: verify blobs", blobs, lambda: _verify_all(packed))
    unpacked = Engine(os.path.join(setting.directory, "verify-layers"))
    image = unpacked.images.fetch(setting.registry.address(GZIP))
    trees = Trees(unpacked.data_dir)
    layers = _files(*(trees.layer_path(chain_id) for chain_id in image.chain_ids))

    def check_layers() -> None:
        problems = [line for chain_id in image.chain_ids for line in check_layer(trees, chain_id)]
        if problems:
            raise Unmeasurable(f"a layer that was unpacked just now is not as it should be: {problems[0]}")

    yield _throughput(setting, "library: verify layers, one by one", layers, check_layers)
    both = [*_files(os.path.join(unpacked.data_dir, "images/blobs")), *layers]
    yield _throughput(setting, "library: verify blobs and layers", both, lambda: _verify_all(unpacked))
    try:
        command = [setting.installed.command, f"--dir={unpacked.data_dir}", "image", "verify"]
        yield _throughput(setting, "carob image verify", both, lambda: setting.spawner.run(command))
    except Unmeasurable as error:
        yield Skipped("carob image verify", str(error))


def _verify_all(engine: Engine) -> None:
    verified = engine.images.verify(quarantine=False)
    if verified.broken or verified.unrecorded:
        raise Unmeasurable(f"what was fetched just now is not as it should be: {verified.broken}")


def _files(*directories: str) -> list[str]:
    """All regular files, each once however many names it has."""
    found: dict[int, str] = {}
    for top in directories:
        for directory, _, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    found.setdefault(os.lstat(path).st_ino, path)
    return list(found.values())


def _throughput(setting: Setting, what: str, files: list[str], action: Callable[[], object]) -> Figure:
    size_mb = sum(os.path.getsize(path) for path in files) / 1e6
    takes = [timed(action), lambda: setting.spawner.run(["sha256sum", *files])[0]]
    ours, theirs = (
        Sample(tuple(size_mb / (ms / 1e3) for ms in sample.values))
        for sample in in_turn(takes, setting.pairs(_ROUNDS))
    )
    what = f"{what} ({len(files):,} files, {size_mb:.0f} MB)"
    return Figure(what, ours, unit=_UNIT, peer=_PEER, theirs=theirs)
