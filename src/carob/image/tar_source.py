"""A tar's bytes, taken in exact lengths from a stream that comes in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from carob.errors import CorruptData

BLOCK_BYTES = 512


class TarSource:
    """Takes blocks and data from ``read``, which gives pieces and nothing only at the end."""

    def __init__(self, read: Callable[[], bytes], what: str) -> None:
        self._read = read
        self._piece = memoryview(b"")
        self.what = what

    def block(self) -> bytes:
        """The next 512 bytes, or ``b""`` at the end of the stream."""
        if len(self._piece) >= BLOCK_BYTES:
            taken, self._piece = self._piece[:BLOCK_BYTES], self._piece[BLOCK_BYTES:]
            return bytes(taken)
        taken_bytes = b"".join(bytes(piece) for piece in self._up_to(BLOCK_BYTES))
        if 0 < len(taken_bytes) < BLOCK_BYTES:
            raise CorruptData(f"{self.what}: the tar ends in the middle of a header")
        return taken_bytes

    def data(self, size: int) -> Iterator[memoryview]:
        """The next ``size`` bytes in pieces, and the padding after them passed over."""
        missing = size
        for piece in self._up_to(size):
            missing -= len(piece)
            yield piece
        if missing:
            raise CorruptData(f"{self.what}: the tar ends in the middle of a file")
        padding = -size % BLOCK_BYTES
        if sum(len(piece) for piece in self._up_to(padding)) < padding:
            raise CorruptData(f"{self.what}: the tar ends in the middle of a file")

    def whole(self, size: int, limit: int) -> bytes:
        """The next ``size`` bytes at once, and the padding passed over."""
        if size > limit:
            raise CorruptData(f"{self.what}: a header record of {size} bytes; at most {limit} are read")
        return b"".join(bytes(piece) for piece in self.data(size))

    def _up_to(self, size: int) -> Iterator[memoryview]:
        while size:
            if not self._piece:
                self._piece = memoryview(self._read())
                if not self._piece:
                    return
            taken, self._piece = self._piece[:size], self._piece[size:]
            size -= len(taken)
            yield taken
