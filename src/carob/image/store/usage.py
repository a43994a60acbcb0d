"""How much disk the images take: as the file system counts it, and what is shared once."""

from __future__ import annotations

import os
from collections.abc import Callable

from carob.errors import CarobError
from carob.image.layers.hands import open_hands
from carob.image.layers.trees import Trees
from carob.image.store.layout import QUARANTINE, TEMPORARY, Layout
from carob.image.store.reachable import Reachable, follow
from carob.image.store.resolve import entry_name, index_entries
from carob.spec.oci.descriptor import parse_descriptor
from carob.spec.reference import is_digest

_BLOCK_BYTES = 512


class ImageUsage:
    """One image: ``names``, ``image_id``; ``size_bytes`` is what its blobs and unpacked layers take,
    ``own_bytes`` the part of it that no other image has, which goes with it.
    """

    __slots__ = ("image_id", "names", "own_bytes", "size_bytes")

    def __init__(self, names: tuple[str, ...], image_id: str, size_bytes: int, own_bytes: int) -> None:
        self.names = names
        self.image_id = image_id
        self.size_bytes = size_bytes
        self.own_bytes = own_bytes

    def __repr__(self) -> str:
        return f"ImageUsage({', '.join(self.names)!r}, {self.size_bytes}, own {self.own_bytes})"


class Usage:
    """What the store takes on disk, in bytes: ``blob_bytes``, ``layer_bytes`` (unpacked), ``temporary_bytes``
    (parts of downloads, layers being unpacked), ``quarantine_bytes``; ``unused_bytes`` of blobs and layers
    that no image has, some of which pods may use; and each image of ``images``, sorted by names.
    """

    __slots__ = ("blob_bytes", "images", "layer_bytes", "quarantine_bytes", "temporary_bytes", "unused_bytes")

    def __init__(
        self,
        *,
        blob_bytes: int,
        layer_bytes: int,
        temporary_bytes: int,
        quarantine_bytes: int,
        unused_bytes: int,
        images: tuple[ImageUsage, ...],
    ) -> None:
        self.blob_bytes = blob_bytes
        self.layer_bytes = layer_bytes
        self.temporary_bytes = temporary_bytes
        self.quarantine_bytes = quarantine_bytes
        self.unused_bytes = unused_bytes
        self.images = images

    @property
    def total_bytes(self) -> int:
        """All together."""
        return self.blob_bytes + self.layer_bytes + self.temporary_bytes + self.quarantine_bytes


def disk_usage(directory: str) -> Usage:
    """The usage of the store of a data directory. Reads every directory of every unpacked layer."""
    layout, trees = Layout(directory + "/images"), Trees(directory)
    blobs = _sizes(f"{layout.path}/blobs/sha256", tree_bytes)
    layers = _layer_sizes(trees)
    images = _images(layout)
    owners: dict[tuple[str, str], int] = {}
    for _, reached in images.values():
        for key in _objects(reached):
            owners[key] = owners.get(key, 0) + 1

    def size_of(key: tuple[str, str]) -> int:
        return (blobs if key[0] == "blob" else layers).get(key[1], 0)

    return Usage(
        blob_bytes=sum(blobs.values()),
        layer_bytes=sum(layers.values()),
        temporary_bytes=tree_bytes(f"{layout.path}/{TEMPORARY}") + tree_bytes(f"{trees.layers}/{TEMPORARY}"),
        quarantine_bytes=tree_bytes(f"{layout.path}/{QUARANTINE}")
        + tree_bytes(f"{trees.layers}/{QUARANTINE}"),
        unused_bytes=sum(
            size
            for kind, sizes in (("blob", blobs), ("layer", layers))
            for digest, size in sizes.items()
            if (kind, digest) not in owners
        ),
        images=tuple(
            sorted(
                (
                    ImageUsage(
                        tuple(sorted(names - {""})),
                        image_id,
                        sum(map(size_of, _objects(reached))),
                        sum(size_of(key) for key in _objects(reached) if owners[key] == 1),
                    )
                    for image_id, (names, reached) in images.items()
                ),
                key=lambda usage: (usage.names, usage.image_id),
            )
        ),
    )


def _images(layout: Layout) -> dict[str, tuple[set[str], Reachable]]:
    """For each manifest or index that the store's index names: its names, and what it reaches."""
    found: dict[str, tuple[set[str], Reachable]] = {}
    for entry in index_entries(layout):
        try:
            descriptor = parse_descriptor(entry, f"{layout.path}/index.json")
        except CarobError:
            continue
        names, reached = found.setdefault(descriptor.digest, (set(), Reachable()))
        names.add(entry_name(entry))
        follow(layout, descriptor, reached)
    return found


def _objects(reached: Reachable) -> set[tuple[str, str]]:
    return {("blob", digest) for digest in reached.blobs} | {
        ("layer", digest) for digest in reached.chain_ids
    }


def _layer_sizes(trees: Trees) -> dict[str, int]:
    """The sizes of unpacked layers, with what is written down about them."""
    if not _names(trees.layers):
        return {}
    hands = open_hands()
    try:
        sizes = _sizes(trees.layers, hands.disk_bytes)
    finally:
        hands.close()
    for chain_id in sizes:
        sizes[chain_id] += tree_bytes(trees.record_path(chain_id)) + tree_bytes(trees.chain_path(chain_id))
    return sizes


def _sizes(directory: str, measure: Callable[[str], int]) -> dict[str, int]:
    """The size on disk of what in ``directory`` is named by a digest."""
    return {
        digest: measure(f"{directory}/{name}")
        for name in _names(directory)
        if is_digest(digest := "sha256:" + name)
    }


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def tree_bytes(path: str) -> int:
    """What a file, or a directory with all in it, takes on disk; several links to a file count once."""
    seen: set[int] = set()
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return 0
    total = status.st_blocks
    waiting = [path] if os.path.isdir(path) and not os.path.islink(path) else []
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue  # removed meanwhile
        with entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif status.st_nlink > 1:
                    if status.st_ino in seen:
                        continue
                    seen.add(status.st_ino)
                total += status.st_blocks
    return total * _BLOCK_BYTES
