"""Writing an unpacked file: what is zeros in the archive, or missing from it, becomes holes."""

from __future__ import annotations

import os
from collections.abc import Iterable

from carob.image.metadata import set_open_metadata
from carob.image.tar_entry import Entry

_HOLE_BYTES = 4096


def make_file(entry: Entry, dir_fd: int, name: bytes, data: Iterable[memoryview]) -> None:
    """Makes the file ``name``, which must not be there, with all that its entry says."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=dir_fd)
    try:
        if entry.extents is None:
            _write_with_holes(fd, data)
        else:
            _write_extents(fd, data, entry.extents)
            os.ftruncate(fd, entry.real_size_bytes)
        set_open_metadata(fd, entry)
    finally:
        os.close(fd)


def _write_with_holes(fd: int, data: Iterable[memoryview]) -> None:
    """Writes the pieces; those of zeros become holes."""
    position = written = 0
    for piece in data:
        is_zeros = len(piece) >= _HOLE_BYTES and piece[0] == piece[-1] == 0 and not bytes(piece).strip(b"\0")
        if not is_zeros:
            _write_at(fd, piece, position)
            written = position + len(piece)
        position += len(piece)
    if position > written:
        os.ftruncate(fd, position)


def _write_extents(fd: int, data: Iterable[memoryview], extents: Iterable[tuple[int, int]]) -> None:
    remaining = iter(extents)
    position = end = 0
    for whole in data:
        piece = whole
        while piece:
            while position == end:
                position, length = next(remaining)
                end = position + length
            part = piece[: end - position]
            _write_at(fd, part, position)
            position += len(part)
            piece = piece[len(part) :]


def _write_at(fd: int, data: memoryview, position: int) -> None:
    while data:
        written = os.pwrite(fd, data, position)
        position += written
        data = data[written:]
