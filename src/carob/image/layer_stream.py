"""A layer's bytes as they pass: read from a file, hashed, decompressed, hashed again, bounded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection

from carob.errors import CorruptData, Unsupported
from carob.image.compression import MAGIC_BYTES, PIECE_BYTES, Compression, decompressed, detect

LAYER_BYTES = 1 << 40
"""The largest uncompressed layer that is read: one tebibyte."""

LAYER_COMPRESSIONS = frozenset((Compression.NONE, Compression.GZIP, Compression.ZSTD))
"""What an OCI layer may be compressed with (image-spec, layer.md)."""


Sink = Callable[[bytes], object]


class LayerStream:
    """Reads one tar stream from ``fd``, which stays the caller's.

    ``what`` names it in errors. The digests are those of what was read so far: call ``drain`` first.
    """

    def __init__(
        self,
        fd: int,
        what: str,
        *,
        allowed: Collection[Compression] = LAYER_COMPRESSIONS,
        limit_bytes: int = LAYER_BYTES,
    ) -> None:
        self.what = what
        self._fd = fd
        self._raw_sink: Sink | None = None
        self._plain_sink: Sink | None = None
        self._limit_bytes = limit_bytes
        self._raw_hash = hashlib.sha256()
        self._head = b""
        while len(self._head) < MAGIC_BYTES and (more := self._read_raw(PIECE_BYTES)):
            self._head += more
        self.compression = detect(self._head)
        if self.compression not in allowed:
            raise Unsupported(
                f"{what} is compressed with {self.compression.value}", hint="decompress it first"
            )
        self._read = decompressed(self.compression, self._read_ahead, what)
        # Uncompressed, the two digests are one: nothing is hashed twice.
        self._plain_hash = None if self.compression is Compression.NONE else hashlib.sha256()
        self.plain_bytes = 0

    def copy_raw_to(self, sink: Sink) -> None:
        """Gives ``sink`` all that is in the file; to be called before the first ``read``."""
        sink(self._head)
        self._raw_sink = sink

    def copy_plain_to(self, sink: Sink) -> None:
        """Gives ``sink`` all that is read, uncompressed; to be called before the first ``read``."""
        self._plain_sink = sink

    def _read_raw(self, size: int) -> bytes:
        data = os.read(self._fd, size)
        self._raw_hash.update(data)
        if self._raw_sink is not None:
            self._raw_sink(data)
        return data

    def _read_ahead(self, size: int) -> bytes:
        if self._head:
            data, self._head = self._head, b""
            return data
        return self._read_raw(size)

    def read(self) -> bytes:
        """The next piece, uncompressed; nothing only at the end."""
        data = self._read(PIECE_BYTES)
        self.plain_bytes += len(data)
        if self.plain_bytes > self._limit_bytes:
            raise CorruptData(f"{self.what}: more than {self._limit_bytes} bytes when uncompressed")
        if self._plain_hash is not None:
            self._plain_hash.update(data)
        if self._plain_sink is not None:
            self._plain_sink(data)
        return data

    def drain(self) -> None:
        """Reads on to the end, so that both digests are of the whole."""
        while self.read():
            pass
        while self._read_raw(PIECE_BYTES):
            pass

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of the bytes in the file."""
        return "sha256:" + self._raw_hash.hexdigest()

    @property
    def diff_id(self) -> str:
        """``sha256:<hex>`` of the uncompressed bytes."""
        return "sha256:" + (self._plain_hash or self._raw_hash).hexdigest()
