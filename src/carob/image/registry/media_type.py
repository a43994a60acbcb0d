"""What kind of document a registry sent."""

from __future__ import annotations

from carob.errors import CorruptData, Unsupported
from carob.spec.oci.descriptor import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, INDEX, MANIFEST
from carob.spec.oci.document import parse_document, text_field

ACCEPT = (INDEX, MANIFEST, DOCKER_MANIFEST_LIST, DOCKER_MANIFEST)
"""The kinds that are asked for."""

_GENERIC = frozenset(("", "application/json", "text/plain", "application/octet-stream", "text/html"))
_OLD = "application/vnd.docker.distribution.manifest.v1+"


def media_type_of(content_type: str, data: bytes, what: str) -> str:
    """The media type of a manifest or an index: what its header says, without parameters, or it says itself.

    ``CorruptData`` where the two differ, as the specification asks for: one document must not be two things
    to two readers. ``Unsupported`` for Docker's manifests of before 2016.
    """
    told = content_type.partition(";")[0].strip().lower()
    if told.startswith(_OLD):
        raise Unsupported(
            f"{what}: a Docker manifest of schema 1, of before 2016",
            hint="push the image again with a tool of today",
        )
    document = parse_document(data, what)
    own = text_field(document, "mediaType", what, default="")
    if own and told not in _GENERIC and own != told:
        raise CorruptData(f"{what}: sent as {told[:100]!r}, but says itself that it is {own[:100]!r}")
    if own:
        return own
    if told not in _GENERIC:
        return told
    return INDEX if "manifests" in document else MANIFEST
