"""Small images made of bytes, and how to put them on a registry."""

from __future__ import annotations

import hashlib
import json
import random

from carob.image.registry.client import Registry
from carob.image.registry.push import Outgoing, push_image
from carob.spec.oci.descriptor import CONFIG, INDEX, LAYER, MANIFEST, Descriptor


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def describe(data: bytes, media_type: str = LAYER) -> Descriptor:
    return Descriptor(media_type, digest(data), len(data))


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class Memory:
    """A blob reader over bytes."""

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self.data = data
        self.offset = offset
        self._position = offset
        self.is_closed = False

    def read(self, size: int) -> bytes:
        piece = self.data[self._position : self._position + size]
        self._position += len(piece)
        return piece

    def close(self) -> None:
        self.is_closed = True


class Image:
    """An image of uncompressed layers: ``blobs`` by digest, the ``manifest`` and its ``descriptor``."""

    def __init__(self, *layers: bytes) -> None:
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
            }
        ).encode()
        self.config = describe(config, CONFIG)
        self.layers = [describe(layer) for layer in layers]
        self.blobs = {digest(data): data for data in (config, *layers)}
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self.config.document(),
                "layers": [layer.document() for layer in self.layers],
            }
        ).encode()
        self.descriptor = describe(self.manifest, MANIFEST)

    @property
    def outgoing(self) -> Outgoing:
        return Outgoing(root=(self.descriptor, self.manifest), blobs=(self.config, *self.layers))

    def open(self, descriptor: Descriptor, offset: int) -> Memory:
        return Memory(self.blobs[descriptor.digest], offset)

    def push(self, client: Registry, repository: str, *tags: str) -> None:
        push_image(client, repository, tags or ("latest",), self.outgoing, self.open)


def index_of(*images: Image) -> tuple[Descriptor, bytes]:
    data = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [image.descriptor.document() for image in images],
        }
    ).encode()
    return describe(data, INDEX), data
