"""Images of the store as one archive that other tools load."""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from carob.errors import InvalidInput
from carob.image.archives.output import PIECE_BYTES, ArchiveOutput, opened_output
from carob.image.compression import Compression
from carob.image.layers.stream import LayerStream
from carob.image.store.layout import INDEX_FILE, LAYOUT_FILE, Layout
from carob.image.store.resolve import find_image, load_image, read_manifest
from carob.image.store.resolved import ResolvedImage
from carob.spec.oci.descriptor import INDEX, REF_NAME, Descriptor
from carob.spec.oci.document import encode_document
from carob.spec.reference import parse_reference


class ArchiveFormat(enum.Enum):
    """The formats of archives; the values are the transports of their addresses."""

    OCI = "oci-archive"
    DOCKER = "docker-archive"


def save_images(layout: Layout, names: Sequence[str], target: str | int, kind: ArchiveFormat) -> None:
    """Writes the images to a path, or to an open file or pipe. The same images give the same bytes."""
    if not names:
        raise InvalidInput("no image to save")
    images = [_Saved(layout, name) for name in names]
    with opened_output(target) as fd:
        output = ArchiveOutput(fd)
        match kind:
            case ArchiveFormat.OCI:
                _save_layout(layout, images, output)
            case ArchiveFormat.DOCKER:
                _save_docker(layout, images, output)
        output.finish()


class _Saved:
    """One image to save, and ``tag``, the name it gets there: none where it was asked for by id or digest."""

    def __init__(self, layout: Layout, name: str) -> None:
        self.name, self.descriptor = find_image(layout, name)
        self.image: ResolvedImage = load_image(layout, self.name, self.descriptor)
        self.config: Descriptor = read_manifest(layout, self.descriptor).config
        is_id = self.name == self.descriptor.digest
        self.tag = "" if is_id or parse_reference(self.name).digest else self.name


def _save_layout(layout: Layout, images: Sequence[_Saved], output: ArchiveOutput) -> None:
    entries = []
    blobs: dict[str, Descriptor] = {}
    for saved in images:
        annotations = {REF_NAME: saved.tag} if saved.tag else {}
        manifest = saved.descriptor
        entry = Descriptor(manifest.media_type, manifest.digest, manifest.size_bytes, annotations=annotations)
        if entry.document() not in entries:
            entries.append(entry.document())
        for descriptor in (manifest, saved.config, *saved.image.layers):
            blobs.setdefault(descriptor.digest, descriptor)
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    output.add(LAYOUT_FILE, b'{"imageLayoutVersion":"1.0.0"}')
    output.add(INDEX_FILE, encode_document(index))
    output.add_directory("blobs")
    output.add_directory("blobs/sha256")
    for digest, descriptor in sorted(blobs.items()):
        _add_blob(layout, descriptor, f"blobs/{digest.replace(':', '/')}", output)


def _save_docker(layout: Layout, images: Sequence[_Saved], output: ArchiveOutput) -> None:
    """``manifest.json`` comes last, as with skopeo; what loads the archive looks for it."""
    items: dict[str, dict[str, Any]] = {}
    written: set[str] = set()
    for saved in images:
        members = []
        for layer, diff_id in zip(saved.image.layers, saved.image.diff_ids, strict=True):
            member = f"{diff_id.partition(':')[2]}.tar"
            members.append(member)
            if member not in written:
                written.add(member)
                _add_layer(layout, layer, member, output)
        config = f"{saved.config.digest.partition(':')[2]}.json"
        if config not in written:
            written.add(config)
            output.add(config, layout.read_document(saved.config))
        item = items.setdefault(config, {"Config": config, "RepoTags": [], "Layers": members})
        if saved.tag and saved.tag not in item["RepoTags"]:
            item["RepoTags"].append(saved.tag)
    output.add("manifest.json", json.dumps(list(items.values()), separators=(",", ":")).encode())


def _add_blob(layout: Layout, descriptor: Descriptor, name: str, output: ArchiveOutput) -> None:
    fd = layout.open_blob(descriptor)
    try:
        output.add_from(name, descriptor.size_bytes, _pieces(fd))
    finally:
        os.close(fd)


def _pieces(fd: int) -> Iterator[bytes]:
    while piece := os.read(fd, PIECE_BYTES):
        yield piece


def _add_layer(layout: Layout, layer: Descriptor, name: str, output: ArchiveOutput) -> None:
    """Adds a layer as it is, plain or gzip, which all that load such archives take; zstd they do not."""
    fd = layout.open_blob(layer)
    try:
        stream = LayerStream(fd, f"layer {layer.digest}")
        if stream.compression is not Compression.ZSTD:
            os.lseek(fd, 0, os.SEEK_SET)
            output.add_from(name, layer.size_bytes, _pieces(fd))
            return
        stream.drain()  # a header comes before its data, and says how many there are
        os.lseek(fd, 0, os.SEEK_SET)
        output.add_from(name, stream.plain_bytes, _plain_pieces(LayerStream(fd, f"layer {layer.digest}")))
    finally:
        os.close(fd)


def _plain_pieces(stream: LayerStream) -> Iterator[bytes]:
    while piece := stream.read():
        yield piece
