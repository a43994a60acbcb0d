"""Writing an unpacked file's data: what is zeros in the archive, or missing from it, becomes holes."""

from __future__ import annotations

import os
from binascii import hexlify
from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from hashlib import _Hash

    from carob.image.tar.entry import Entry

EMPTY_DIGEST = hexlify(sha256().digest())
_HOLE_BYTES = 4096
_ZEROS = memoryview(bytes(1 << 18))


def write_data(fd: int, entry: Entry, data: Iterable[memoryview]) -> bytes:
    """Writes the data of a file's entry into an open, empty file; returns the SHA-256 of the content, in
    hexadecimal digits.
    """
    if entry.extents is not None:
        return _write_extents(fd, entry, data)
    if not entry.size_bytes:
        return EMPTY_DIGEST
    content = sha256()
    position = written = 0
    for piece in data:
        content.update(piece)
        length = len(piece)
        if length < _HOLE_BYTES or piece[0] or piece[-1] or piece.tobytes().strip(b"\0"):
            _write_at(fd, piece, position)
            written = position + length
        position += length
    if position > written:
        os.ftruncate(fd, position)
    return hexlify(content.digest())


def _write_extents(fd: int, entry: Entry, data: Iterable[memoryview]) -> bytes:
    """Writes the data of a sparse file where its map says."""
    assert entry.extents is not None
    content = sha256()
    remaining = iter(entry.extents)
    position = end = 0
    for whole in data:
        piece = whole
        while piece:
            if position == end:
                start, length = next(remaining)
                _update_with_zeros(content, start - position)
                position, end = start, start + length
            part = piece[: end - position]
            content.update(part)
            _write_at(fd, part, position)
            position += len(part)
            piece = piece[len(part) :]
    _update_with_zeros(content, entry.real_size_bytes - position)
    os.ftruncate(fd, entry.real_size_bytes)
    return hexlify(content.digest())


def _update_with_zeros(content: _Hash, count: int) -> None:
    while count > 0:
        content.update(_ZEROS[:count])
        count -= len(_ZEROS)


def _write_at(fd: int, data: memoryview, position: int) -> None:
    while (written := os.pwrite(fd, data, position)) < len(data):
        position += written
        data = data[written:]
