from __future__ import annotations

import pytest

from carob.errors import InvalidInput, NotFound
from carob.image.store.platforms import ATTESTATION, choose_manifest, host_platform, parse_platform, runs_on
from carob.spec.oci.descriptor import MANIFEST, Descriptor, Platform


def descriptor(text: str, number: int = 0, **annotations: str) -> Descriptor:
    platform = parse_platform(text) if text else None
    return Descriptor(MANIFEST, f"sha256:{number:064x}", 1, platform=platform, annotations=annotations)


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/arm64", ["linux/amd64", "linux/arm64/v8"], 1),
        ("linux/arm64/v8", ["linux/arm64"], 0),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], 2),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm/v5", "linux/arm/v6"], 2),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], 1),
        ("linux/arm", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], 1),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2"], 1),
        ("linux/amd64", ["windows/amd64", ""], 1),
        ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
        ("linux/riscv64", ["linux/riscv64"], 0),
    ],
)
def test_the_best_that_runs_there(wanted: str, there: list[str], chosen: int) -> None:
    descriptors = [descriptor(text, number) for number, text in enumerate(there)]
    assert choose_manifest(descriptors, parse_platform(wanted), "index") is descriptors[chosen]


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        ("linux/amd64", []),
        ("linux/amd64", ["linux/arm64"]),
        ("linux/arm/v6", ["linux/arm/v7"]),
        ("linux/amd64", ["linux/amd64/v2"]),
        ("linux/amd64", ["", ""]),
        ("linux/mips", ["linux/mips/odd"]),
    ],
)
def test_none_that_runs_there(wanted: str, there: list[str]) -> None:
    with pytest.raises(NotFound, match=wanted) as caught:
        choose_manifest([descriptor(text) for text in there], parse_platform(wanted), "index")
    assert (there[0] if there and there[0] else "it has") in caught.value.hint


def test_attestations_are_no_images() -> None:
    image, other = descriptor("", 1), descriptor("unknown/unknown", 2)
    said = descriptor("", 3, **{ATTESTATION: "attestation-manifest"})
    assert choose_manifest([other, said, image], host_platform(), "index") is image


def test_platforms_in_words() -> None:
    assert parse_platform("linux/arm64/v8") == Platform("arm64", "linux", "v8")
    assert parse_platform("aarch64") == Platform("arm64", "linux")
    assert parse_platform("Linux/x86_64") == Platform("amd64", "linux")
    assert runs_on(host_platform(), host_platform())
    for wrong in ("", "/", "linux/", "a/b/c/d", "linux/am d64", "linux/amd64\n"):
        with pytest.raises(InvalidInput):
            parse_platform(wrong)
