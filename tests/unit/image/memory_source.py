"""A source that a test holds in its hands: what it sends, when, and how often it was asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from carob.errors import NotFound, Unavailable
from carob.image.sources.source import BlobReader
from carob.spec.address import DOCKER, ImageAddress
from carob.spec.oci.config import sha256_hex
from carob.spec.oci.descriptor import CONFIG, LAYER, MANIFEST, Descriptor
from carob.spec.oci.document import encode_document
from carob.spec.oci.manifest import Manifest


def described(data: bytes, media_type: str = LAYER) -> Descriptor:
    return Descriptor(media_type, "sha256:" + sha256_hex(data), len(data))


class MemoryReader:
    def __init__(
        self, data: bytes, offset: int, before_read: Callable[[int], object], sent: Callable[[int], object]
    ) -> None:
        self.offset = offset
        self._data = data
        self._position = offset
        self._before_read = before_read
        self._sent = sent
        self._is_closed = False

    def read(self, size: int) -> bytes:
        self._before_read(self._position)
        if self._is_closed:
            raise Unavailable("the connection is closed")
        piece = self._data[self._position : self._position + min(size, 1000)]
        self._position += len(piece)
        self._sent(len(piece))
        return piece

    def close(self) -> None:
        self._is_closed = True


class MemorySource:
    """Documents and blobs by digest. ``opened`` counts blobs, ``offsets`` says from where.

    ``before_read`` is called with the position before each read of a blob, and may wait, or raise.
    """

    def __init__(self, *, resumes: bool = True, reference: str = "app:1") -> None:
        self.address = ImageAddress(DOCKER, reference)
        self.name = "memory:source"
        self.reference = reference
        self.blobs: dict[str, bytes] = {}
        self.top: tuple[Descriptor, bytes] | None = None
        self.resumes = resumes
        self.opened: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.offsets: list[int] = []
        self.sent_bytes = 0
        self.before_read: Callable[[str, int], object] = lambda digest, position: None
        self.is_closed = False
        self._lock = threading.Lock()

    def put(self, data: bytes, media_type: str = LAYER) -> Descriptor:
        descriptor = described(data, media_type)
        self.blobs[descriptor.digest] = data
        return descriptor

    def put_image(
        self, *layers: bytes, diff_ids: list[str] | None = None, architecture: str = "amd64"
    ) -> Descriptor:
        """An image of uncompressed layers; it becomes the topmost."""
        descriptors = tuple(self.put(layer) for layer in layers)
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids or [layer.digest for layer in descriptors]},
        }
        manifest = Manifest(self.put(encode_document(config), CONFIG), descriptors)
        data = encode_document(manifest.document())
        self.top = self.put(data, MANIFEST), data
        return self.top[0]

    def root(self) -> tuple[Descriptor, bytes]:
        assert self.top is not None
        return self.top

    def document(self, descriptor: Descriptor) -> bytes:
        with self._lock:
            self.asked[descriptor.digest] += 1
        return self._find(descriptor)

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        data = self._find(descriptor)
        with self._lock:
            self.opened[descriptor.digest] += 1
            self.offsets.append(offset)
        return MemoryReader(
            data,
            offset if self.resumes else 0,
            lambda position: self.before_read(descriptor.digest, position),
            self._count,
        )

    def _count(self, length: int) -> None:
        with self._lock:
            self.sent_bytes += length

    def close(self) -> None:
        self.is_closed = True

    def _find(self, descriptor: Descriptor) -> bytes:
        if descriptor.digest not in self.blobs:
            raise NotFound(f"there is no {descriptor.digest}")
        return self.blobs[descriptor.digest]
