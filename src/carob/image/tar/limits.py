"""How much of anything a layer may have. What is beyond is refused by name, before it does harm."""

from __future__ import annotations

from carob.errors import CorruptData
from carob.image.tar.header import HEADER_BYTES


class UnpackLimits:
    """The bounds of one layer; they do not change.

    - ``layer_bytes``: uncompressed, the holes of sparse files included.
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

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"limits do not change: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, ({name: getattr(self, name) for name in self.__slots__},)


def _rebuild(values: dict[str, int]) -> UnpackLimits:
    return UnpackLimits(**values)


LIMITS = UnpackLimits()


class Allowance:
    """What one layer has used of its limits so far: compressed and uncompressed bytes, and holes."""

    __slots__ = ("_hole_bytes", "_what", "compressed_bytes", "limits", "plain_bytes")

    def __init__(self, limits: UnpackLimits, what: str) -> None:
        self.limits = limits
        self._what = what
        self.compressed_bytes = 0
        self._hole_bytes = 0
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
        self._hole_bytes += count
        self._check(what)

    def _check(self, what: str) -> None:
        taken = self.plain_bytes + self._hole_bytes
        limits = self.limits
        if taken > limits.layer_bytes:
            raise CorruptData(
                f"{what}: more than {limits.layer_bytes} bytes when uncompressed",
                hint="the limit on a layer's bytes can be raised",
            )
        if taken > limits.ratio_free_bytes + limits.ratio * self.compressed_bytes:
            raise CorruptData(
                f"{what}: {taken} bytes out of {self.compressed_bytes} look like a decompression bomb",
                hint="the limit on the ratio can be raised",
            )
