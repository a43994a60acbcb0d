"""How much of an appc image, and of what it depends on, is taken."""

from __future__ import annotations

from carob.image.tar.limits import UnpackLimits
from carob.spec.oci.document import DOCUMENT_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.limits import ImageLimits


class AciLimits:
    """Bounds, each with a sane default. Immutable.

    - ``archive_bytes``: an ACI as it is downloaded or copied; ``plain_bytes``: uncompressed, holes of sparse
      files counted; ``ratio`` as in ``UnpackLimits``.
    - ``entries``: files in one ACI; ``manifest_bytes``: its manifest, which becomes an annotation and
      grows by a third.
    - ``depth``: dependencies of dependencies; ``layers``: what an image is made of in the end.
    """

    __slots__ = ("archive_bytes", "depth", "entries", "layers", "manifest_bytes", "plain_bytes", "ratio")

    def __init__(
        self,
        *,
        archive_bytes: int = 16 << 30,
        plain_bytes: int = 64 << 30,
        entries: int = 2_000_000,
        ratio: int = 256,
        manifest_bytes: int = DOCUMENT_BYTES * 5 // 8,
        depth: int = 32,
        layers: int = 127,
    ) -> None:
        set_slot = object.__setattr__
        set_slot(self, "archive_bytes", archive_bytes)
        set_slot(self, "plain_bytes", plain_bytes)
        set_slot(self, "entries", entries)
        set_slot(self, "ratio", ratio)
        set_slot(self, "manifest_bytes", manifest_bytes)
        set_slot(self, "depth", depth)
        set_slot(self, "layers", layers)

    archive_bytes: int
    plain_bytes: int
    entries: int
    ratio: int
    manifest_bytes: int
    depth: int
    layers: int

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"limits do not change: {name}")

    def of_archive(self) -> UnpackLimits:
        """The bounds of one ACI as a tar."""
        return UnpackLimits(
            layer_bytes=self.plain_bytes,
            bytes_setting="aci_unpacked_bytes",
            ratio=self.ratio,
            entries=self.entries,
        )


def aci_limits(limits: ImageLimits | None) -> AciLimits:
    """The bounds of ACIs where a user has set some."""
    if limits is None:
        return AciLimits()
    return AciLimits(
        archive_bytes=limits.aci_bytes,
        plain_bytes=limits.aci_unpacked_bytes,
        entries=limits.entries,
        ratio=limits.ratio,
    )
