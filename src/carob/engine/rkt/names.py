"""What rkt's API calls an image: an appc name, a version, and the id that pod manifests have. Pure."""

from __future__ import annotations

from carob.engine.appc.documents import identifier
from carob.errors import InvalidInput
from carob.spec.reference import parse_reference

LATEST = "latest"
"""rkt's version of an image that says none."""


def name_and_version(reference: str) -> tuple[str, str]:
    """The two of an image that is called ``reference``: the repository, and the tag or else the digest."""
    try:
        parsed = parse_reference(reference)
    except InvalidInput:
        return identifier(reference), LATEST
    return identifier(parsed.repository), parsed.tag or parsed.digest or LATEST
