"""The image index, and the index of an image layout (image-spec, image-index.md and image-layout.md)."""

from __future__ import annotations

from carob.errors import CorruptData
from carob.spec.oci.descriptor import Descriptor, parse_descriptor
from carob.spec.oci.document import INDEX_BYTES, list_field, parse_document

TYPE_CHECKING = False
if TYPE_CHECKING:
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
        raise CorruptData(f"{what}: schemaVersion is {repr(version)[:20]}, not 2")
