"""The image index, and the index of an image layout (image-spec, image-index.md and image-layout.md)."""

from __future__ import annotations

from carob.errors import CorruptData, NotFound
from carob.spec.oci.descriptor import Descriptor, Platform, parse_descriptor
from carob.spec.oci.document import INDEX_BYTES, list_field, parse_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def parse_index(data: bytes, what: str) -> tuple[Descriptor, ...]:
    """Checks an index and returns its descriptors in order."""
    document = parse_document(data, what, limit=INDEX_BYTES)
    check_schema_version(document, what)
    return tuple(parse_descriptor(entry, what) for entry in list_field(document, "manifests", what))


def check_schema_version(document: dict[str, Any], what: str) -> None:
    """Only version 2 of index and manifest was ever in use with OCI media types."""
    version = document.get("schemaVersion")
    if version != 2 or isinstance(version, bool):
        raise CorruptData(f"{what}: schemaVersion is {str(version)[:20]}, not 2")


def choose_platform(descriptors: Sequence[Descriptor], wanted: Platform, what: str) -> Descriptor:
    """The manifest for ``wanted``: one of its variant, else one of its architecture, else the only one
    that names no platform. ``NotFound`` lists what there is.
    """
    best: Descriptor | None = None
    for descriptor in descriptors:
        platform = descriptor.platform
        if platform is None or (platform.os, platform.architecture) != (wanted.os, wanted.architecture):
            continue
        if platform.variant == wanted.variant:
            return descriptor
        best = best or descriptor
    if best is not None:
        return best
    unnamed = [descriptor for descriptor in descriptors if descriptor.platform is None]
    if len(unnamed) == 1:
        return unnamed[0]
    there = ", ".join(str(descriptor.platform or "unnamed") for descriptor in descriptors[:10])
    raise NotFound(f"{what} has no image for {wanted}", hint=f"it has: {there or 'nothing'}")
