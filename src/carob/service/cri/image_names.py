"""What Kubernetes means by the name of an image. Pure.

A name without a host is Docker Hub's, and one without a path there too is ``library``'s (Kubernetes'
documentation, Images). Carob's own ways with such names, the store first and then aliases, go before that.
"""

from __future__ import annotations

from carob.spec.reference import is_digest, is_hex, parse_reference

_HUB = "docker.io"
_SHA256 = "sha256:"


def is_id(name: str) -> bool:
    """Whether it is an image's id, or the beginning of one, and not a name."""
    digits = name.removeprefix(_SHA256)
    return is_digest(_SHA256 + digits) or (digits != name and is_hex(digits))


def is_short(name: str) -> bool:
    """Whether no host is named. Raises ``InvalidInput`` for what is no name."""
    return not parse_reference(name).domain


def hub_name(name: str) -> str:
    """A short name as Docker Hub has it."""
    return f"{_HUB}/{name}" if "/" in name else f"{_HUB}/library/{name}"
