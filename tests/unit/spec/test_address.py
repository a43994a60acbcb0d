from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import InvalidInput
from carob.spec.address import ImageAddress, image_number, parse_address

DIGEST = "sha256:" + "ab" * 32

GOOD = [
    ("busybox", "", "busybox", ""),
    ("docker:27", "", "docker:27", ""),
    ("example.org:5000/a/b:1", "", "example.org:5000/a/b:1", ""),
    (f"busybox@{DIGEST}", "", f"busybox@{DIGEST}", ""),
    (DIGEST, "", DIGEST, ""),
    ("sha256:abcd", "", "sha256:abcd", ""),
    ("ab" * 32, "", "ab" * 32, ""),
    ("docker://busybox", "docker", "busybox:latest", ""),
    ("docker://127.0.0.1:5000/a/b", "docker", "127.0.0.1:5000/a/b:latest", ""),
    (f"docker://example.org/a:1@{DIGEST}", "docker", f"example.org/a:1@{DIGEST}", ""),
    ("oci:layout", "oci", "layout", ""),
    ("oci:/a/b:busybox:1.36", "oci", "/a/b", "busybox:1.36"),
    ("oci:layout:@2", "oci", "layout", "@2"),
    ("oci-archive:a b.tar", "oci-archive", "a b.tar", ""),
    ("docker-archive:a.tar:busybox", "docker-archive", "a.tar", "busybox:latest"),
    ("docker-archive:a.tar:@0", "docker-archive", "a.tar", "@0"),
    ("dir:/a:b", "dir", "/a:b", ""),
    ("tar:-", "tar", "-", ""),
    ("aci:image.aci", "aci", "image.aci", ""),
    ("aci:https://example.org/a.aci", "aci", "https://example.org/a.aci", ""),
    ("appc:example.org/app:1.0,os=linux", "appc", "example.org/app:1.0,os=linux", ""),
]


@pytest.mark.parametrize(("text", "transport", "location", "reference"), GOOD)
def test_what_an_address_says(text: str, transport: str, location: str, reference: str) -> None:
    address = parse_address(text)
    assert (address.transport, address.location, address.reference) == (transport, location, reference)
    assert parse_address(str(address)) == address
    assert hash(parse_address(str(address))) == hash(address)
    assert pickle.loads(pickle.dumps(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "UPPER",
        "a:b:c",
        "oci:",
        "oci::ref",
        "oci:path:",
        "oci:path:a\nb",
        "dir:",
        "tar:",
        "aci:",
        "appc:",
        "aci:file:///etc/passwd",
        "aci:ftp://example.org/a.aci",
        "docker://",
        "docker://UPPER",
        "docker://busybox@sha256:12",
        "docker-archive:a.tar:UPPER",
        f"docker-archive:a.tar:busybox@{DIGEST}",
        "https://example.org/a",
        "file:///tmp/a",
        "containers-storage:busybox",
        "docker-daemon:busybox:1",
        "/tmp/a.tar",
        "./a.tar",
        "../a",
        "~/a",
        ".",
        "dir:a\0b",
        "a" * 9000,
        "sha256:" + "a" * 65,
        "sha256:XYZ",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_address(text)
    assert caught.value.hint
    assert len(caught.value.message) < len(text) + 200


@given(
    st.text(max_size=60) | st.from_regex(r"(oci|dir|docker-archive|docker|aci|appc|tar):.*", fullmatch=True)
)
def test_any_text_is_an_address_or_invalid(text: str) -> None:
    try:
        address = parse_address(text)
    except InvalidInput:
        return
    assert address.location
    assert parse_address(str(address)) == address
    assert repr(address)


@given(
    st.sampled_from(["oci", "oci-archive"]),
    st.text(st.characters(exclude_characters="\0:"), min_size=1, max_size=40),
    st.text(st.characters(categories=["L", "N", "P"]), max_size=40),
)
def test_path_and_reference_stay_apart(transport: str, path: str, reference: str) -> None:
    text = f"{transport}:{path}:{reference}" if reference else f"{transport}:{path}"
    address = parse_address(text)
    assert (address.location, address.reference) == (path, reference)
    assert str(address) == text


def test_an_address_does_not_change() -> None:
    with pytest.raises(AttributeError):
        parse_address("busybox").location = "other"  # type: ignore[misc]
    assert parse_address("dir:/a") != "dir:/a"
    assert ImageAddress("oci", "a", "b") == parse_address("oci:a:b")


@pytest.mark.parametrize(
    ("text", "number"), [("@0", 0), ("@12", 12), ("0", None), ("@", None), ("@x", None), ("@٣", None)]
)
def test_the_number_of_an_image(text: str, number: int | None) -> None:
    assert image_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "docker://ann:PASSWORD@example.org/a",
        "ann:PASSWORD@example.org/a:1",
        "ann:PASSWORD@127.0.0.1:5000/a",
        "ann:PASSWORD@example.org",
        "ann:PASS@WORD@example.org/a",
        "ann:PASS/WORD@example.org/a",
        "http://ann:PASSWORD@example.org/a",
        "TOKEN-PASSWORD@example.org/a",
        "oci+https://ann:PASSWORD@example.org/" + "a" * 9000,
    ],
)
def test_a_password_is_not_repeated(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"example\.org|127\.0\.0\.1:5000") as caught:
        parse_address(text)
    assert "PASS" not in f"{caught.value.message}{caught.value.hint}"
    assert "WORD" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("text", ["localhost:5000/app:1@sha256:12", "app@latest"])
def test_a_wrong_digest_is_shown(text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        parse_address(text)
