"""What kind of document a manifest or an index says it is, and that nobody could take it for another kind."""

from __future__ import annotations

from carob.errors import CorruptData, Unsupported
from carob.spec.oci.descriptor import INDEX, INDEX_TYPES, MANIFEST, MANIFEST_TYPES
from carob.spec.oci.document import parse_document, text_field

_OLD_TYPES = "application/vnd.docker.distribution.manifest.v1+"


def document_type(data: bytes, what: str) -> str:
    """The media type of a manifest or an index: what it says itself, else what its keys say.

    ``Unsupported`` for Docker's manifests of schema 1; ``CorruptData`` for what is neither, or both: one
    reader would take such a document for this image and the next one for another.
    """
    document = parse_document(data, what)
    media_type = text_field(document, "mediaType", what, default="")
    if media_type.startswith(_OLD_TYPES) or document.get("schemaVersion") == 1:
        raise Unsupported(
            f"{what}: a manifest of Docker's schema 1, of before 2016",
            hint="copy it with skopeo, which converts",
        )
    is_index = "manifests" in document
    is_manifest = "layers" in document or "config" in document
    if is_index == is_manifest or not (media_type or is_index or is_manifest):
        raise CorruptData(f"{what}: neither a manifest nor an index, or both")
    if media_type:
        if media_type not in (INDEX_TYPES if is_index else MANIFEST_TYPES):
            raise CorruptData(f"{what}: says that it is {media_type[:100]!r}, and is not")
        return media_type
    return INDEX if is_index else MANIFEST


def checked_type(media_type: str, data: bytes, what: str) -> str:
    """The media type of a document that was announced as ``media_type``; ``CorruptData`` where it is another
    kind of document.
    """
    found = document_type(data, what)
    if (found in INDEX_TYPES) != (media_type in INDEX_TYPES):
        raise CorruptData(f"{what}: announced as {media_type[:100]!r}, says that it is {found!r}")
    return found
