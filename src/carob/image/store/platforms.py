"""Choosing the image for a platform from an index.

Variants are compatible downwards: what runs on arm v7 runs v6 too, but nothing newer. ``arm64`` is ``v8``
and ``amd64`` is ``v1`` where nothing else is said (containerd's platforms, go.dev/wiki/MinimumRequirements).
"""

from __future__ import annotations

import os

from carob.errors import InvalidInput, NotFound
from carob.spec.oci.descriptor import Descriptor, Platform, platform_of_machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carob.image.store.resolved import ResolvedImage

    Warn = Callable[[str], object]

ATTESTATION = "vnd.docker.reference.type"
"""An annotation of buildkit's: the manifest says something about another one, and is no image."""

_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}
_DEFAULT_VARIANTS = {"arm64": "v8", "amd64": "v1", "arm": "v7"}
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-.")


def host_platform() -> Platform:
    """This host's."""
    return platform_of_machine(os.uname().machine)


def parse_platform(text: str) -> Platform:
    """``os/architecture[/variant]``, or an architecture alone, in Go's words; ``x86_64`` and ``aarch64`` are
    known as well.
    """
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(part and _LETTERS.issuperset(part) for part in parts):
        raise InvalidInput(f"{text!r} is not a platform", hint="os/architecture[/variant]: linux/arm64")
    if len(parts) == 1:
        parts.insert(0, "linux")
    architecture = _ALIASES.get(parts[1], parts[1])
    return Platform(architecture, parts[0], parts[2] if len(parts) > 2 else "")


def choose_manifest(descriptors: Sequence[Descriptor], wanted: Platform, what: str) -> Descriptor:
    """The best of those that run on ``wanted``, else the only one that names no platform. ``NotFound``
    lists what there is.
    """
    images = [descriptor for descriptor in descriptors if not _is_attestation(descriptor)]
    best: Descriptor | None = None
    best_rank = -1
    for descriptor in images:
        rank = -1 if descriptor.platform is None else _rank(descriptor.platform, wanted)
        if rank > best_rank:
            best, best_rank = descriptor, rank
    if best is not None:
        return best
    unnamed = [descriptor for descriptor in images if descriptor.platform is None]
    if len(unnamed) == 1:
        return unnamed[0]
    there = ", ".join(str(descriptor.platform or "unnamed") for descriptor in images[:10])
    raise NotFound(f"{what} has no image for {wanted}", hint=f"it has: {there or 'nothing'}")


def runs_on(platform: Platform, wanted: Platform) -> bool:
    """Whether an image of ``platform`` is one for ``wanted``."""
    return _rank(platform, wanted) >= 0


def check_platform(image: ResolvedImage, wanted: Platform | None, what: str, warn: Warn) -> None:
    """Whether an image that is for one platform is for ``wanted``: ``NotFound`` where not. Where nobody asked
    for a platform, and it is not for this host, ``warn`` is told: it may be labelled wrongly.
    """
    needed = wanted or host_platform()
    # Most images of a single platform do not say their variant.
    own = Platform(image.architecture, image.os, image.config.get("variant") or needed.variant)
    if runs_on(own, needed):
        return
    if wanted is not None:
        raise NotFound(
            f"{what} is an image for {own}, not for {wanted}", hint="without --platform it is taken as it is"
        )
    warn(f"{what} is an image for {own}, and this host is {needed}")


def _is_attestation(descriptor: Descriptor) -> bool:
    platform = descriptor.platform
    return ATTESTATION in descriptor.annotations or (platform is not None and platform.os == "unknown")


def _rank(platform: Platform, wanted: Platform) -> int:
    """How good a platform is for the wanted one; negative where it does not run there."""
    if (platform.os, platform.architecture) != (wanted.os, wanted.architecture):
        return -1
    default = _DEFAULT_VARIANTS.get(wanted.architecture, "")
    has, wants = platform.variant or default, wanted.variant or default
    if has == wants:
        return 1000
    has_number, wants_number = _number(has), _number(wants)
    if has_number is None or wants_number is None or has_number > wants_number:
        return -1
    return has_number


def _number(variant: str) -> int | None:
    digits = variant.removeprefix("v")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else None
