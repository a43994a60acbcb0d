"""What a signature says of an image: the signed JSON of simple signing and of cosign. Pure.

Source: containers-signature(5), "JSON data format"; cosign's SIGNATURE_SPEC.md, "Simple Signing".
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.image.trust.strict_json import fields, object_at, parse_strict, text_at
from carob.spec.reference import is_digest

SIMPLE = "atomic container signature"
COSIGN = "cosign container image signature"

_CLAIM_BYTES = 1 << 16


class Claim:
    """``digest`` (``sha256:<hex>``) of the manifest that is meant, and the ``name`` it is claimed to have."""

    __slots__ = ("digest", "name")

    def __init__(self, digest: str, name: str) -> None:
        self.digest = digest
        self.name = name

    def __repr__(self) -> str:
        return f"Claim({self.digest!r}, {self.name!r})"


def parse_claim(payload: bytes, kind: str, what: str) -> Claim:
    """The claim in ``payload``, whose signature must be known to be good by now.

    ``kind`` is the ``type`` it must have: a signature made for one purpose is none for another.
    ``InvalidInput`` for anything unexpected.
    """
    document = fields(
        parse_strict(payload, what, limit_bytes=_CLAIM_BYTES), what, required=("critical", "optional")
    )
    if not (kind == COSIGN and document["optional"] is None):  # cosign writes null for nothing
        _check_optional(object_at(document["optional"], f"{what}, optional"), what)
    critical = fields(document["critical"], f"{what}, critical", required=("type", "image", "identity"))
    if text_at(critical, "type", what) != kind:
        raise InvalidInput(f"{what}: it is {str(critical['type'])[:50]!r}, not {kind!r}")
    image = fields(critical["image"], f"{what}, image", required=("docker-manifest-digest",))
    identity = fields(critical["identity"], f"{what}, identity", required=("docker-reference",))
    digest = text_at(image, "docker-manifest-digest", what)
    if not is_digest(digest):
        raise InvalidInput(f"{what}: {digest[:100]!r} is not a sha256 digest")
    return Claim(digest, text_at(identity, "docker-reference", what))


def _check_optional(optional: dict[str, object], what: str) -> None:
    if not isinstance(optional.get("creator", ""), str):
        raise InvalidInput(f"{what}: 'creator' is not a string")
    timestamp = optional.get("timestamp", 0)
    is_whole = timestamp.is_integer() if isinstance(timestamp, float) else isinstance(timestamp, int)
    if isinstance(timestamp, bool) or not is_whole:
        raise InvalidInput(f"{what}: 'timestamp' is not an integer")
