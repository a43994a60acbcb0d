"""Header blocks: names and values, compressed by one zlib stream a direction (SPDY/3.1, 2.6.10).

Whoever sends a block decides how much it inflates to, so that is bounded. A block that goes over the bound
or is no zlib data ends the connection: the stream of all later blocks is lost with it.
"""

from __future__ import annotations

import zlib

from carob.service.streaming.spdy.dictionary import DICTIONARY
from carob.service.streaming.spdy.failures import ProtocolError, ResetStatus, StreamError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 16384
"""The most that one block may inflate to."""
_WINDOW_BITS = 11  # the blocks are short: 2 KiB hold the dictionary and more
_MEMORY_LEVEL = 1


class Inflater:
    """Reads the peer's blocks, in their order."""

    __slots__ = ("_zlib",)

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def read(self, block: bytes) -> dict[str, str]:
        """The headers by name. Several values of one name are parted by NUL, as they were sent.

        Raises ``ProtocolError`` where the connection cannot go on, ``StreamError`` where only this is bad.
        """
        try:
            plain = self._zlib.decompress(block, MOST_BYTES + 1)
        except zlib.error as error:
            raise ProtocolError(f"a header block is not compressed as it should be: {error}") from error
        if len(plain) > MOST_BYTES or self._zlib.unconsumed_tail or self._zlib.eof:
            raise ProtocolError(f"a header block inflates to more than {MOST_BYTES} bytes, or ends its zlib")
        return _parse(plain)


class Deflater:
    """Writes our blocks. What it needs, some 10 KiB, is made with the first."""

    __slots__ = ("_zlib",)

    def __init__(self) -> None:
        self._zlib: zlib._Compress | None = None

    def write(self, headers: Mapping[str, str]) -> bytes:
        """The block for these headers; names in lower case."""
        if self._zlib is None:
            self._zlib = zlib.compressobj(6, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zdict=DICTIONARY)
        parts = [len(headers).to_bytes(4, "big")]
        for text in (text for pair in headers.items() for text in pair):
            encoded = text.encode("latin-1")
            parts += (len(encoded).to_bytes(4, "big"), encoded)
        return self._zlib.compress(b"".join(parts)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


def _parse(plain: bytes) -> dict[str, str]:
    count, position = _number(plain, 0)
    headers: dict[str, str] = {}
    for _ in range(count):
        name, position = _text(plain, position)
        value, position = _text(plain, position)
        if not name or name != name.lower() or name in headers:
            raise StreamError(f"bad or doubled header name {name!r}", ResetStatus.PROTOCOL_ERROR)
        headers[name] = value
    if position != len(plain):
        raise StreamError("a header block is longer than what is in it", ResetStatus.PROTOCOL_ERROR)
    return headers


def _number(plain: bytes, start: int) -> tuple[int, int]:
    """A 32-bit number, and where it ends."""
    end = start + 4
    if end > len(plain):
        raise StreamError("a header block is cut off", ResetStatus.PROTOCOL_ERROR)
    return int.from_bytes(plain[start:end], "big"), end


def _text(plain: bytes, start: int) -> tuple[str, int]:
    """A string after its length, and where it ends."""
    length, start = _number(plain, start)
    end = start + length
    if end > len(plain):
        raise StreamError("a header block is cut off", ResetStatus.PROTOCOL_ERROR)
    return plain[start:end].decode("latin-1"), end
