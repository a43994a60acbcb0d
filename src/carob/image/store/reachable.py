"""What the index of a store reaches: blobs, and the layers of its images."""

from __future__ import annotations

from dataclasses import dataclass, field

from carob.errors import CorruptData, NotFound
from carob.image.store.layout import Layout
from carob.image.store.resolve import ORIGINAL, index_entries
from carob.spec.oci.config import chain_ids, diff_ids, parse_config
from carob.spec.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor, parse_descriptor
from carob.spec.oci.index import parse_index
from carob.spec.oci.manifest import parse_manifest
from carob.spec.reference import is_digest


@dataclass(slots=True)
class Reachable:
    """Digests of blobs and chain ids, and what could not be read: an image that is broken cannot be used,
    so what only it would reach is not in here.
    """

    blobs: set[str] = field(default_factory=set)
    chain_ids: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    followed: set[str] = field(default_factory=set)
    """Manifests and indexes looked into. Not ``blobs``: a layer of one image may be another's manifest."""


def reachable(layout: Layout) -> Reachable:
    """Follows every entry of the index, through indexes and for all platforms.

    Raises where the index itself, or the file system, cannot be read.
    """
    found = Reachable()
    for entry in index_entries(layout):
        try:
            descriptor = parse_descriptor(entry, f"{layout.path}/index.json")
        except CorruptData as error:
            found.problems.append(error.message)
            continue
        follow(layout, descriptor, found)
    return found


def follow(layout: Layout, entry: Descriptor, found: Reachable) -> None:
    """Adds what one entry of the index reaches."""
    original = entry.annotations.get(ORIGINAL, "")
    if is_digest(original):
        found.blobs.add(original)
    waiting = [entry]
    while waiting:
        descriptor = waiting.pop()
        found.blobs.add(descriptor.digest)
        if descriptor.digest in found.followed:
            continue
        found.followed.add(descriptor.digest)
        try:
            waiting += _follow(layout, descriptor, found)
        except NotFound:
            pass  # a platform that was not copied, or a blob that is lost: there is nothing to keep
        except CorruptData as error:
            found.problems.append(error.message)


def _follow(layout: Layout, descriptor: Descriptor, found: Reachable) -> tuple[Descriptor, ...]:
    what = f"blob {descriptor.digest}"
    if descriptor.media_type in INDEX_TYPES:
        return parse_index(layout.read_document(descriptor), what)
    if descriptor.media_type not in MANIFEST_TYPES:
        return ()
    manifest = parse_manifest(layout.read_document(descriptor), what)
    found.blobs.add(manifest.config.digest)
    found.blobs.update(layer.digest for layer in manifest.layers)
    config = parse_config(layout.read_document(manifest.config), f"blob {manifest.config.digest}")
    found.chain_ids.update(chain_ids(diff_ids(config, f"blob {manifest.config.digest}")))
    return ()
