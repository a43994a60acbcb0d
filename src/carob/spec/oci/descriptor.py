"""Content descriptors and platforms (image-spec, descriptor.md and image-index.md)."""

from __future__ import annotations

from carob.errors import CorruptData
from carob.spec.oci.document import map_field, size_field, text_field, text_map_field
from carob.spec.reference import is_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
LAYER_ZSTD = LAYER + "+zstd"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

INDEX_TYPES = frozenset((INDEX, DOCKER_MANIFEST_LIST))
MANIFEST_TYPES = frozenset((MANIFEST, DOCKER_MANIFEST))

REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation that names a manifest in the index of a layout."""

_MACHINES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "i386": "386",
    "i686": "386",
    "loongarch64": "loong64",
}


class Platform:
    """What a manifest in an index is for: ``architecture`` and ``os`` in Go's words, and a ``variant``."""

    __slots__ = ("architecture", "os", "variant")

    def __init__(self, architecture: str, os: str, variant: str = "") -> None:
        self.architecture = architecture
        self.os = os
        self.variant = variant

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Platform):
            return NotImplemented
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def __repr__(self) -> str:
        return f"Platform({str(self)!r})"


class Descriptor:
    """What a document says of a blob: ``media_type``, ``digest`` (``sha256:<hex>``), ``size_bytes``,
    ``annotations`` and, inside an index, ``platform``.
    """

    __slots__ = ("annotations", "digest", "media_type", "platform", "size_bytes")

    def __init__(
        self,
        media_type: str,
        digest: str,
        size_bytes: int,
        *,
        annotations: dict[str, str] | None = None,
        platform: Platform | None = None,
    ) -> None:
        self.media_type = media_type
        self.digest = digest
        self.size_bytes = size_bytes
        self.annotations = annotations or {}
        self.platform = platform

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Descriptor):
            return NotImplemented
        return self.document() == other.document()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Descriptor({self.media_type!r}, {self.digest!r}, {self.size_bytes})"

    def document(self) -> dict[str, Any]:
        """The descriptor as a JSON object."""
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size_bytes,
        }
        if self.annotations:
            document["annotations"] = self.annotations
        if self.platform is not None:
            document["platform"] = {"architecture": self.platform.architecture, "os": self.platform.os}
            if self.platform.variant:
                document["platform"]["variant"] = self.platform.variant
        return document


def parse_descriptor(value: object, what: str) -> Descriptor:
    """Checks one descriptor; ``CorruptData`` names ``what`` document it stands in."""
    if not isinstance(value, dict):
        raise CorruptData(f"{what}: a descriptor is not an object")
    digest = text_field(value, "digest", what)
    if not is_digest(digest):
        raise CorruptData(f"{what}: {digest[:100]!r} is not a sha256 digest")
    return Descriptor(
        text_field(value, "mediaType", what),
        digest,
        size_field(value, "size", what),
        annotations=text_map_field(value, "annotations", what),
        platform=_parse_platform(value, what),
    )


def _parse_platform(descriptor: dict[str, Any], what: str) -> Platform | None:
    document = map_field(descriptor, "platform", what)
    if not document:
        return None
    return Platform(
        text_field(document, "architecture", what, default=""),
        text_field(document, "os", what, default=""),
        text_field(document, "variant", what, default=""),
    )


def platform_of_machine(machine: str) -> Platform:
    """The platform of a Linux host whose ``uname -m`` is ``machine``."""
    variant = "v" + machine[4] if machine.startswith("armv") else ""
    return Platform(_MACHINES.get(machine, machine), "linux", variant)
