"""Compressed streams, told by their first bytes and read in bounded pieces.

gzip, xz and bzip2 come with Python; zstd with Python 3.14, or with the package ``zstandard``.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Callable
from typing import Protocol

from carob.errors import CorruptData, Unsupported

PIECE_BYTES = 1 << 18
"""How much is read, and how much comes out, at a time."""

_ZSTD_WINDOW_BYTES = 1 << 27
_XZ_MEMORY_BYTES = 1 << 30


class Compression(enum.Enum):
    """How a stream is compressed; the values are what people call it."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    XZ = "xz"
    BZIP2 = "bzip2"


EVERY_COMPRESSION = frozenset(Compression)
MAGIC_BYTES = 6

_MAGIC = (
    (b"\x1f\x8b", Compression.GZIP),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
    (b"\xfd7zXZ\0", Compression.XZ),
    (b"BZh", Compression.BZIP2),
)


def detect(head: bytes) -> Compression:
    """The compression of a stream that begins with ``head`` (``MAGIC_BYTES`` of it are enough).

    A zstd stream that begins with a skippable frame is known too. A tar never begins like any of them:
    its first bytes are a name, followed by NULs up to the 100th.
    """
    for magic, compression in _MAGIC:
        if head.startswith(magic):
            return compression
    if len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return Compression.ZSTD
    return Compression.NONE


class _Decompressor(Protocol):
    """What ``bz2``, ``lzma`` and ``compression.zstd`` offer: one member or frame, bounded output."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """``zlib`` in the shape of the others. Header, CRC and length are checked by zlib itself."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(max_length, 0))


Reader = Callable[[int], bytes]
"""Reads at most so many bytes; nothing only at the end."""


def decompressed(compression: Compression, read: Reader, what: str) -> Reader:
    """A reader of what ``read`` gives, decompressed. ``CorruptData`` names ``what``; ``Unsupported``
    where this Python cannot read it.
    """
    match compression:
        case Compression.NONE:
            return read
        case Compression.GZIP:
            return _members(_Gzip, read, what)
        case Compression.XZ:
            import lzma

            return _members(lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES), read, what)
        case Compression.BZIP2:
            import bz2

            return _members(bz2.BZ2Decompressor, read, what)
        case Compression.ZSTD:
            return _zstd(read, what)


def _members(make: Callable[[], _Decompressor], read: Reader, what: str) -> Reader:
    """Reads members one after the other, up to the end or to padding of zeros."""
    inner = make()
    is_padding = False

    def read_piece(size: int) -> bytes:
        nonlocal inner, is_padding
        while not is_padding:
            if inner.eof:
                rest = inner.unused_data or read(PIECE_BYTES)
                if not rest:
                    return b""
                if rest[0] == 0:
                    is_padding = True
                    _expect_zeros(rest, read, what)
                    return b""
                inner = make()
                piece = _decompress(inner, rest, size, what)
            else:
                data = read(PIECE_BYTES) if inner.needs_input else b""
                if not data and inner.needs_input:
                    raise CorruptData(f"{what}: the compressed data ends too early")
                piece = _decompress(inner, data, size, what)
            if piece:
                return piece
        return b""

    return read_piece


def _decompress(inner: _Decompressor, data: bytes, size: int, what: str) -> bytes:
    try:
        return inner.decompress(data, size)
    except Exception as error:  # zlib.error, LZMAError, OSError, ZstdError: they share no base
        if isinstance(error, MemoryError):
            raise
        raise CorruptData(f"{what}: broken compressed data: {error}") from error


def _expect_zeros(rest: bytes, read: Reader, what: str) -> None:
    while rest:
        if rest.strip(b"\0"):
            raise CorruptData(f"{what}: something follows the end of the compressed data")
        rest = read(PIECE_BYTES)


class _Source:
    """A reader in the shape of a file, which ``zstandard`` wants.

    Its reader says nothing of a stream that is cut off: the tar in it, or the diff id, does.
    """

    def __init__(self, read: Reader) -> None:
        self.read = read


def _zstd(read: Reader, what: str) -> Reader:
    for module in ("compression.zstd", "backports.zstd"):
        try:
            make: Callable[[], _Decompressor] = __import__(module, fromlist=["x"]).ZstdDecompressor
        except ImportError:
            continue
        return _members(make, read, what)
    try:
        import zstandard  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise Unsupported(
            f"{what} is compressed with zstd, which this Python cannot read", hint="pip install zstandard"
        ) from error

    stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).stream_reader(
        _Source(read), read_across_frames=True
    )

    def read_piece(size: int) -> bytes:
        try:
            piece: bytes = stream.read(size)
        except zstandard.ZstdError as error:
            raise CorruptData(f"{what}: broken compressed data: {error}") from error
        return piece

    return read_piece
