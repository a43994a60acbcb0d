"""Operating systems and architectures: appc's words and Go's, which OCI documents use.

Source: appc specification 0.8.11, ``schema/types/labels.go``.
"""

from __future__ import annotations

from carob.spec.oci.descriptor import Platform

_TO_GO = {
    "amd64": ("amd64", ""),
    "i386": ("386", ""),
    "aarch64": ("arm64", ""),
    "aarch64_be": ("arm64_be", ""),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv7b": ("armbe", "v7"),
    "ppc64": ("ppc64", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
}
_TO_APPC = {go: appc for appc, go in _TO_GO.items()}


def platform_of_labels(labels: dict[str, str], host: Platform) -> Platform:
    """What an image with these labels is for; ``host`` where they do not say.

    ``arch`` means something only beside ``os`` (aci.md, "labels").
    """
    if "os" not in labels:
        return host
    architecture = labels.get("arch")
    if architecture is None:
        return Platform(host.architecture, labels["os"], host.variant)
    name, variant = _TO_GO.get(architecture, (architecture, ""))
    return Platform(name, labels["os"], variant)


def labels_of_platform(platform: Platform) -> dict[str, str]:
    """The labels ``os`` and ``arch`` for a platform; without ``arch`` where appc has no word for it."""
    word = _TO_APPC.get((platform.architecture, platform.variant))
    if word is None and platform.architecture != "arm":
        word = _TO_APPC.get((platform.architecture, ""))
    return {"os": platform.os, "arch": word} if word else {"os": platform.os}
