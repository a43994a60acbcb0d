"""The image manifest (image-spec, manifest.md)."""

from __future__ import annotations

from carob.errors import CorruptData
from carob.spec.oci.descriptor import MANIFEST, MANIFEST_TYPES, Descriptor, parse_descriptor
from carob.spec.oci.document import list_field, parse_document, text_field, text_map_field
from carob.spec.oci.index import check_schema_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LAYERS = 500
"""More layers than that are refused; overlay itself takes at most 500 lower directories."""


class Manifest:
    """A checked manifest: ``config`` and ``layers`` (bottom first) as descriptors, and ``annotations``."""

    __slots__ = ("annotations", "config", "layers")

    def __init__(
        self,
        config: Descriptor,
        layers: tuple[Descriptor, ...],
        annotations: dict[str, str] | None = None,
    ) -> None:
        self.config = config
        self.layers = layers
        self.annotations = annotations or {}

    def __repr__(self) -> str:
        return f"Manifest({self.config!r}, {len(self.layers)} layers)"

    def document(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.config.document(),
            "layers": [layer.document() for layer in self.layers],
        }
        if self.annotations:
            document["annotations"] = self.annotations
        return document


def parse_manifest(data: bytes, what: str) -> Manifest:
    """Checks an OCI manifest, or a Docker one of schema 2, which has the same shape."""
    document = parse_document(data, what)
    check_schema_version(document, what)
    if text_field(document, "mediaType", what, default=MANIFEST) not in MANIFEST_TYPES:
        raise CorruptData(f"{what}: not an image manifest")
    if "manifests" in document:
        # A document that could be read as index and as manifest has been used to fool verifiers.
        raise CorruptData(f"{what}: both a manifest and an index")
    layers = list_field(document, "layers", what)
    if len(layers) > LAYERS:
        raise CorruptData(f"{what}: {len(layers)} layers; at most {LAYERS} can be mounted")
    return Manifest(
        parse_descriptor(document.get("config"), f"{what}, config"),
        tuple(parse_descriptor(layer, f"{what}, layers") for layer in layers),
        text_map_field(document, "annotations", what),
    )
