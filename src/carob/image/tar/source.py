"""A tar's bytes, taken in exact lengths from a stream that comes in pieces."""

from __future__ import annotations

from carob.errors import CorruptData
from carob.image.tar.header import BLOCK_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class TarSource:
    """Takes blocks and data from ``read``, which gives pieces and nothing only at the end."""

    __slots__ = ("_piece", "_position", "_read", "what")

    def __init__(self, read: Callable[[], bytes], what: str) -> None:
        self._read = read
        self._piece = memoryview(b"")
        self._position = 0  # of what is not taken yet in the piece
        self.what = what

    def block(self) -> bytes:
        """The next 512 bytes, or ``b""`` at the end of the stream."""
        start = self._position
        end = start + BLOCK_BYTES
        if end <= len(self._piece):
            self._position = end
            return self._piece[start:end].tobytes()
        taken = b"".join(self._up_to(BLOCK_BYTES))
        if 0 < len(taken) < BLOCK_BYTES:
            raise CorruptData(f"{self.what}: the tar ends in the middle of a header")
        return taken

    def data(self, size: int) -> Iterator[memoryview]:
        """The next ``size`` bytes in pieces, and the padding after them passed over.

        They may be looked at in any case; the next block comes after them only once all pieces were taken.
        """
        start = self._position
        end = start + (size + 511 & ~511)
        if end <= len(self._piece):  # most files are small: no generator for them
            self._position = end
            return iter((self._piece[start : start + size],) if size else ())
        return self._long_data(size)

    def whole(self, size: int, limit: int) -> bytes:
        """The next ``size`` bytes at once, and the padding passed over."""
        if size > limit:
            raise CorruptData(f"{self.what}: a header record of {size} bytes; at most {limit} are read")
        return b"".join(self.data(size))

    def _long_data(self, size: int) -> Iterator[memoryview]:
        missing = size
        for piece in self._up_to(size):
            missing -= len(piece)
            yield piece
        padding = -size % BLOCK_BYTES
        if missing or sum(len(piece) for piece in self._up_to(padding)) < padding:
            raise CorruptData(f"{self.what}: the tar ends in the middle of a file")

    def _up_to(self, size: int) -> Iterator[memoryview]:
        while size:
            if self._position == len(self._piece):
                self._piece = memoryview(self._read())
                self._position = 0
                if not self._piece:
                    return
            start = self._position
            taken = self._piece[start : start + size]
            self._position += len(taken)
            size -= len(taken)
            yield taken
