"""How much of anything a layer may have. What is beyond is refused by name, before it does harm."""

from __future__ import annotations

from carob.errors import CorruptData
from carob.image.limits import limit_hint
from carob.image.tar.header import HEADER_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.image.limits import ImageLimits

_OBJECT_BYTES = 150
"""What Python takes for an object and its place in a dictionary."""


class UnpackLimits:
    """The bounds of one layer; they do not change.

    - ``layer_bytes``: uncompressed, the holes of sparse files included; ``bytes_setting`` is what users call
      it (``carob.image.limits``).
    - ``ratio`` and ``ratio_free_bytes``: uncompressed bytes, with holes, for each compressed byte; the first
      ``ratio_free_bytes`` may have come from any number. gzip cannot do better than 1032, other formats
      can, and layers of real images stay below 100.
    - ``entries``: members of the tar, and directories that none of them names; ``header_bytes``: one PAX or
      GNU name record; ``extents``: pieces of a sparse file.
    - ``path_bytes``, ``name_bytes``, ``depth``: of one path, one part of it, and the number of parts. Linux
      takes 4096, with a NUL, and 255 bytes.
    - ``xattrs``, ``xattr_bytes``: extended attributes of one file, and one of their values; Linux takes
      64 KiB.
    """

    __slots__ = (
        "bytes_setting",
        "depth",
        "entries",
        "extents",
        "header_bytes",
        "layer_bytes",
        "name_bytes",
        "path_bytes",
        "ratio",
        "ratio_free_bytes",
        "xattr_bytes",
        "xattrs",
    )

    layer_bytes: int
    bytes_setting: str
    ratio: int
    ratio_free_bytes: int
    entries: int
    header_bytes: int
    extents: int
    path_bytes: int
    name_bytes: int
    depth: int
    xattrs: int
    xattr_bytes: int

    def __init__(
        self,
        *,
        layer_bytes: int = 1 << 38,
        bytes_setting: str = "unpacked_bytes",
        ratio: int = 256,
        ratio_free_bytes: int = 1 << 30,
        entries: int = 2_000_000,
        header_bytes: int = HEADER_BYTES,
        extents: int = 1 << 16,
        path_bytes: int = 4095,
        name_bytes: int = 255,
        depth: int = 256,
        xattrs: int = 256,
        xattr_bytes: int = 1 << 16,
    ) -> None:
        set_slot = object.__setattr__
        set_slot(self, "layer_bytes", layer_bytes)
        set_slot(self, "bytes_setting", bytes_setting)
        set_slot(self, "ratio", ratio)
        set_slot(self, "ratio_free_bytes", ratio_free_bytes)
        set_slot(self, "entries", entries)
        set_slot(self, "header_bytes", header_bytes)
        set_slot(self, "extents", extents)
        set_slot(self, "path_bytes", path_bytes)
        set_slot(self, "name_bytes", name_bytes)
        set_slot(self, "depth", depth)
        set_slot(self, "xattrs", xattrs)
        set_slot(self, "xattr_bytes", xattr_bytes)

    @property
    def kept_bytes(self) -> int:
        """How much memory may go to what has to be known until a layer is done: the paths of its directories
        (with what else is to be said of them at the end), of what it deletes, and of what it names twice.
        """
        return (self.entries << 5) + (1 << 20)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"limits do not change: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, ({name: getattr(self, name) for name in self.__slots__},)


def _rebuild(values: dict[str, Any]) -> UnpackLimits:
    return UnpackLimits(**values)


LIMITS = UnpackLimits()


def unpack_limits(limits: ImageLimits | None) -> UnpackLimits:
    """The bounds of a layer where a user has set some."""
    if limits is None:
        return LIMITS
    return UnpackLimits(layer_bytes=limits.unpacked_bytes, ratio=limits.ratio, entries=limits.entries)


class Allowance:
    """What one layer has used of its limits so far: compressed and uncompressed bytes, holes, memory."""

    __slots__ = ("_hole_bytes", "_kept_bytes", "_what", "compressed_bytes", "limits", "plain_bytes")

    def __init__(self, limits: UnpackLimits, what: str) -> None:
        self.limits = limits
        self._what = what
        self.compressed_bytes = 0
        self._hole_bytes = 0
        self._kept_bytes = 0
        self.plain_bytes = 0

    def take_compressed(self, count: int) -> None:
        """Some more bytes were read."""
        self.compressed_bytes += count

    def take_plain(self, count: int) -> None:
        """Some more bytes came out; ``CorruptData`` where it is too much."""
        self.plain_bytes += count
        self._check(self._what)

    def take_holes(self, count: int, what: str) -> None:
        """A sparse file ``what`` has so many bytes more than came out."""
        # Judged before it is added: who takes plain bytes meanwhile must not be told of these holes.
        self._check(what, count)
        self._hole_bytes += count

    def keep(self, count: int) -> None:
        """So many bytes are kept in memory; ``CorruptData`` where it is too much."""
        self._kept_bytes += count + _OBJECT_BYTES
        if self._kept_bytes > self.limits.kept_bytes:
            raise CorruptData(
                f"{self._what}: its paths take more than {self.limits.kept_bytes} bytes of memory",
                hint=limit_hint("entries"),
            )

    def _check(self, what: str, more: int = 0) -> None:
        taken = self.plain_bytes + self._hole_bytes + more
        limits = self.limits
        if taken > limits.layer_bytes:
            raise CorruptData(
                f"{what}: more than {limits.layer_bytes} bytes when uncompressed",
                hint=limit_hint(limits.bytes_setting),
            )
        if taken > limits.ratio_free_bytes + limits.ratio * self.compressed_bytes:
            raise CorruptData(
                f"{what}: {taken} bytes out of {self.compressed_bytes} look like a decompression bomb",
                hint=limit_hint("ratio"),
            )
