"""One member of a tar archive, as its reader gives it and its writer takes it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class EntryType(enum.Enum):
    """The types a layer may hold (image-spec, layer.md); the values are POSIX ustar's type flags."""

    FILE = b"0"
    HARD_LINK = b"1"
    SYMLINK = b"2"
    CHARACTER_DEVICE = b"3"
    BLOCK_DEVICE = b"4"
    DIRECTORY = b"5"
    FIFO = b"6"


DEVICES = frozenset((EntryType.CHARACTER_DEVICE, EntryType.BLOCK_DEVICE))


@dataclass(slots=True)
class Entry:
    """A member: ``path`` and ``link_target`` as they stand in the archive, unchecked but without NUL.

    ``mode`` is the twelve permission bits; ``mtime_ns`` nanoseconds since 1970, perhaps negative;
    ``size_bytes`` the length of the data in the archive, 0 unless it is a file. A sparse file has
    ``real_size_bytes`` and ``extents``, (offset, length) in order; its data are theirs, one after
    the other.
    """

    path: bytes
    type: EntryType
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size_bytes: int = 0
    link_target: bytes = b""
    device_major: int = 0
    device_minor: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    real_size_bytes: int = 0
    extents: tuple[tuple[int, int], ...] | None = None
