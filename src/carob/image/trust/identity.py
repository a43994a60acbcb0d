"""Whether the name in a signature is the one that an image must have been signed under. Pure.

Source: containers-policy.json(5), "signedIdentity".
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.image.trust.docker_reference import DockerReference, parse_docker_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Kind = Literal[
        "matchExact",
        "matchRepoDigestOrExact",
        "matchRepository",
        "exactReference",
        "exactRepository",
        "remapIdentity",
    ]


class IdentityRule:
    """One ``signedIdentity``: its ``kind``, and what belongs to it.

    ``reference`` is the ``dockerReference`` or ``dockerRepository``; ``prefix`` is replaced by
    ``signed_prefix`` for ``remapIdentity``.
    """

    __slots__ = ("kind", "prefix", "reference", "signed_prefix")

    def __init__(
        self,
        kind: Kind,
        *,
        reference: DockerReference | None = None,
        prefix: str = "",
        signed_prefix: str = "",
    ) -> None:
        self.kind = kind
        self.reference = reference
        self.prefix = prefix
        self.signed_prefix = signed_prefix

    def __repr__(self) -> str:
        return f"IdentityRule({self.kind!r}, reference={self.reference}, prefix={self.prefix!r})"


DEFAULT_RULE = IdentityRule("matchRepoDigestOrExact")


def is_signed_as(rule: IdentityRule, image: DockerReference | None, signed: str) -> bool:
    """Whether ``signed``, the name that a signature claims, will do for ``image``.

    ``image`` is the name that the user asked for, ``None`` where it has none (``oci:``, ``dir:``): then only
    the rules that say a name themselves can be met.
    """
    try:
        claimed = parse_docker_reference(signed)
    except InvalidInput:
        return False
    match rule.kind:
        case "exactReference":
            return rule.reference is not None and not claimed.is_name_only and claimed == rule.reference
        case "exactRepository":
            return rule.reference is not None and claimed.name == rule.reference.name
        case _ if image is None:
            return False
        case "matchExact":
            return not claimed.is_name_only and not image.is_name_only and claimed == image
        case "matchRepository":
            return claimed.name == image.name
        case "matchRepoDigestOrExact":
            return _repo_digest_or_exact(image, claimed)
        case "remapIdentity":
            remapped = _remapped(rule, image)
            return remapped is not None and _repo_digest_or_exact(remapped, claimed)
        case _:
            return False


def _repo_digest_or_exact(image: DockerReference, claimed: DockerReference) -> bool:
    """A tag must be the same. By digest alone any tag of the repository will do: what the digest is of was
    checked already.
    """
    if claimed.is_name_only or image.is_name_only or claimed.name != image.name:
        return False
    if not image.tag:
        return True
    return claimed.tag == image.tag and claimed.digest in ("", image.digest)


def _remapped(rule: IdentityRule, image: DockerReference) -> DockerReference | None:
    name = image.name
    if name != rule.prefix and not name.startswith(rule.prefix + "/"):
        return image
    try:
        made = parse_docker_reference(rule.signed_prefix + name[len(rule.prefix) :])
    except InvalidInput:
        return None
    return DockerReference(made.name, image.tag, image.digest)
