"""A layer's bytes as they pass: read, hashed, decompressed, hashed again, bounded."""

from __future__ import annotations

import os
from hashlib import sha256

from carob.errors import Unsupported
from carob.image.compression import INPUT_BYTES, MAGIC_BYTES, PIECE_BYTES, Compression, decompressed, detect
from carob.image.tar.limits import LIMITS, Allowance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from carob.image.compression import Reader
    from carob.image.tar.limits import UnpackLimits

    Sink = Callable[[bytes], object]

LAYER_COMPRESSIONS = frozenset((Compression.NONE, Compression.GZIP, Compression.ZSTD))
"""What an OCI layer may be compressed with (image-spec, layer.md)."""


class LayerStream:
    """Reads one tar stream from ``source``: a descriptor, which stays the caller's, or a function that
    returns at most so many bytes, and nothing only at the end.

    ``what`` names it in errors. The digests are those of what was read so far: call ``drain`` first. With
    ``hash_raw`` false the source has been checked by whoever gives it, and there is no ``digest``.
    """

    def __init__(
        self,
        source: int | Reader,
        what: str,
        *,
        allowed: Collection[Compression] = LAYER_COMPRESSIONS,
        limits: UnpackLimits = LIMITS,
        hash_raw: bool = True,
    ) -> None:
        self.what = what
        self._source = source
        self._raw_sink: Sink | None = None
        self._plain_sink: Sink | None = None
        self.allowance = Allowance(limits, what)
        self._raw_hash = sha256() if hash_raw else None
        self._head = b""
        while len(self._head) < MAGIC_BYTES and (more := self._read_raw(INPUT_BYTES)):
            self._head += more
        self.compression = detect(self._head)
        if self.compression not in allowed:
            raise Unsupported(
                f"{what} is compressed with {self.compression.value}", hint="decompress it first"
            )
        self._read = decompressed(self.compression, self._read_ahead, what)
        # Uncompressed, the two digests are one: nothing is hashed twice.
        is_hashed = self.compression is Compression.NONE and self._raw_hash is not None
        self._plain_hash = None if is_hashed else sha256()

    def copy_raw_to(self, sink: Sink) -> None:
        """Gives ``sink`` all that is in the file; to be called before the first ``read``."""
        sink(self._head)
        self._raw_sink = sink

    def copy_plain_to(self, sink: Sink) -> None:
        """Gives ``sink`` all that is read, uncompressed; to be called before the first ``read``."""
        self._plain_sink = sink

    def _read_raw(self, size: int) -> bytes:
        source = self._source
        data = os.read(source, size) if isinstance(source, int) else source(size)
        self.allowance.take_compressed(len(data))
        if self._raw_hash is not None:
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
        self.allowance.take_plain(len(data))
        if self._plain_hash is not None:
            self._plain_hash.update(data)
        if self._plain_sink is not None:
            self._plain_sink(data)
        return data

    @property
    def plain_bytes(self) -> int:
        """How many uncompressed bytes were read so far."""
        return self.allowance.plain_bytes

    def drain(self) -> None:
        """Reads on to the end, so that both digests are of the whole."""
        while self.read():
            pass
        while self._read_raw(INPUT_BYTES):
            pass

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of the bytes in the file."""
        assert self._raw_hash is not None
        return "sha256:" + self._raw_hash.hexdigest()

    @property
    def diff_id(self) -> str:
        """``sha256:<hex>`` of the uncompressed bytes."""
        content = self._plain_hash or self._raw_hash
        assert content is not None
        return "sha256:" + content.hexdigest()
