"""Compressed streams, told by their first bytes and read in bounded pieces.

What decompresses is the best there is here: for gzip ISA-L (the package ``isal``, twice as fast as zlib), for
zstd Python 3.14's own module or its backport.
"""

from __future__ import annotations

import enum

from carob.errors import CorruptData, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    Reader = Callable[[int], bytes]
    """Reads at most so many bytes; nothing only at the end."""

    class _Decompressor(Protocol):
        """What ``bz2``, ``lzma``, ``compression.zstd`` and ``isal.igzip_lib`` offer: one member or frame,
        bounded output.
        """

        @property
        def eof(self) -> bool: ...
        @property
        def needs_input(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


INPUT_BYTES = 1 << 17
"""How much is read at a time."""

PIECE_BYTES = 1 << 19
"""How much comes out at a time."""

_EMPTY_MEMBERS = 1000
"""A member takes ten microseconds to begin. Writers end by an empty one, or have a few notes of their own."""

_ZSTD_WINDOW_LOG = 27  # 128 MiB, as the zstd command has it
_XZ_MEMORY_BYTES = 1 << 30


class Compression(enum.Enum):
    """How a stream is compressed; the values are what people call it."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    XZ = "xz"
    BZIP2 = "bzip2"


EVERY_COMPRESSION = frozenset(Compression)
MAGIC_BYTES = 10

_MAGIC = (
    (b"\x1f\x8b", Compression.GZIP),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
    (b"\xfd7zXZ\0", Compression.XZ),
)
_BZIP2_PARTS = (bytes.fromhex("314159265359"), bytes.fromhex("177245385090"))


def detect(head: bytes) -> Compression:
    """The compression of a stream that begins with ``head`` (``MAGIC_BYTES`` of it are enough).

    A zstd stream that begins with a skippable frame is known too. A tar never begins like any of them:
    its first bytes are a name, followed by NULs up to the 100th.
    """
    for magic, compression in _MAGIC:
        if head.startswith(magic):
            return compression
    # A level, and the beginning of a block or of the end; names of files may begin with BZh.
    if head.startswith(b"BZh") and head[4:10] in _BZIP2_PARTS:
        return Compression.BZIP2
    if len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return Compression.ZSTD
    return Compression.NONE


def decompressed(compression: Compression, read: Reader, what: str) -> Reader:
    """A reader of what ``read`` gives, decompressed. ``CorruptData`` names ``what``; ``Unsupported``
    where this Python cannot read it.
    """
    match compression:
        case Compression.NONE:
            return read
        case Compression.GZIP:
            return _Members(_gzip(), read, what).read
        case Compression.XZ:
            import lzma

            return _Members(lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES), read, what).read
        case Compression.BZIP2:
            import bz2

            return _Members(bz2.BZ2Decompressor, read, what).read
        case Compression.ZSTD:
            return _Members(_zstd(what), read, what).read


class _Members:
    """Reads members one after the other, up to the end or to padding of zeros."""

    __slots__ = ("_empty", "_inner", "_is_empty", "_is_padding", "_make", "_read", "_what")

    def __init__(self, make: Callable[[], _Decompressor], read: Reader, what: str) -> None:
        self._make = make
        self._read = read
        self._what = what
        self._inner = make()
        self._is_padding = False
        self._is_empty = True
        self._empty = 0

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; nothing only at the end."""
        while not self._is_padding:
            if self._inner.eof:
                data = self._inner.unused_data or self._read(INPUT_BYTES)
                if not data:
                    return b""
                if data[0] == 0:
                    self._is_padding = True
                    self._expect_zeros(data)
                    return b""
                self._empty += self._is_empty
                if self._empty > _EMPTY_MEMBERS:
                    raise CorruptData(f"{self._what}: more than {_EMPTY_MEMBERS} compressed parts of nothing")
                self._inner, self._is_empty = self._make(), True
            elif self._inner.needs_input:
                data = self._read(INPUT_BYTES)
                if not data:
                    raise CorruptData(f"{self._what}: the compressed data ends too early")
            else:
                data = b""
            piece = self._decompress(data, size)
            if piece:
                self._is_empty = False
                return piece
        return b""

    def _decompress(self, data: bytes, size: int) -> bytes:
        try:
            return self._inner.decompress(data, size)
        except MemoryError:
            raise
        except Exception as error:  # zlib.error, LZMAError, OSError, ZstdError: they share no base
            raise CorruptData(f"{self._what}: broken compressed data: {error}") from error

    def _expect_zeros(self, rest: bytes) -> None:
        while rest:
            if rest.strip(b"\0"):
                raise CorruptData(f"{self._what}: something follows the end of the compressed data")
            rest = self._read(INPUT_BYTES)


def _gzip() -> Callable[[], _Decompressor]:
    """Header, CRC and length are checked by either."""
    try:
        from isal import igzip_lib  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return _Zlib
    return lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)  # type: ignore[no-any-return,unused-ignore]


class _Zlib:
    """``zlib`` in the shape of the others."""

    __slots__ = ("_inner",)

    def __init__(self) -> None:
        import zlib

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


def _zstd(what: str) -> Callable[[], _Decompressor]:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            module = __import__(name, fromlist=["ZstdDecompressor"])
        except ImportError:
            continue
        options = {module.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        return lambda: module.ZstdDecompressor(options=options)
    raise Unsupported(
        f"{what} is compressed with zstd, which this Python cannot read", hint="pip install backports.zstd"
    )
