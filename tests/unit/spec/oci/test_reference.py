from __future__ import annotations

import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import InvalidInput
from carob.spec.reference import Reference, is_digest, parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4

# The grammar of distribution/reference, written down a second time as expressions.
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
DOMAIN = rf"{LABEL}(?:\.{LABEL})*(?::[0-9]+)?"
NAME = re.compile(
    rf"(?P<name>(?:{DOMAIN}/)?{COMPONENT}(?:/{COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("busybox", "busybox:latest"),
        ("busybox:1.36", "busybox:1.36"),
        ("a/b/c", "a/b/c:latest"),
        ("example.org/app@" + DIGEST, "example.org/app@" + DIGEST),
        ("example.org:5000/app:v1@" + DIGEST, "example.org:5000/app:v1@" + DIGEST),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("Host/app", "Host/app:latest"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1"),
        ("a__b/c--d.e_f:_Tag.1-2", "a__b/c--d.e_f:_Tag.1-2"),
        ("host:5000", "host:5000"),
    ],
)
def test_names(text: str, normal: str) -> None:
    reference = parse_reference(text)
    assert str(reference) == normal
    assert parse_reference(normal) == reference


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "@", "/", "a/", "/a", "a//b", "a:", "a@", "a@sha256:12", "A", "a/B", "a b", "a\n", "a\0",
        ".a", "a.", "a..b", "a___b", "a._b", "-a", "a-", "ä", "a:ä", "a:-x", "a:.x", "a:" + "t" * 129,
        "n" * 256, "0" * 64, "sha256", "sha256:abc", "../a", "a/../b", "./a", "host:port/a",
        "host:99999/a", "host:/a",
        "-h.org/a",
        "h..org/a", "[::1/a", "[]/a",
        "a@" + DIGEST.upper(), "a@md5:" + "0" * 32, "a:b:c",
        "a@" + DIGEST + "@" + DIGEST,
        "http://example.org/a", "docker://a", "٣", "a:٣", "host:٣/a",
    ],
)  # fmt: skip
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_reference(text)
    assert caught.value.hint


@given(st.text("ab0._-:/@ A", max_size=30))
def test_the_parser_agrees_with_the_grammar(text: str) -> None:
    match = NAME.fullmatch(text)
    try:
        reference = parse_reference(text)
    except InvalidInput:
        # A port out of range, and a domain that the grammar takes though it looks like a path, are ours.
        assert match is None or re.search(r":0*(?:0|[1-9][0-9]{4,})?/|:0[0-9]*/|:[0-9]{6,}/", text)
        return
    assert match is not None
    assert reference.repository == match["name"]
    assert reference.tag == (match["tag"] or ("" if match["digest"] else "latest"))


@given(st.from_regex(NAME, fullmatch=True))
def test_what_the_grammar_makes_goes_round(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidInput:
        return  # too long, a port out of range: the grammar does not say
    assert parse_reference(str(reference)) == reference


@given(st.text(max_size=60))
def test_nothing_else_is_raised(text: str) -> None:
    try:
        assert parse_reference(text).repository in text
    except InvalidInput as error:
        # What stands before an @ may be a password, and is not shown.
        assert repr(text) in error.message or ("@" in text and "***@" in error.message)  # noqa: PT017


def test_a_reference_is_a_value() -> None:
    reference = Reference("a", "b", DIGEST)
    assert pickle.loads(pickle.dumps(reference)) == reference
    assert hash(reference) == hash(parse_reference(str(reference)))
    assert reference != "a"
    with pytest.raises(AttributeError):
        reference.tag = "c"


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "g" * 64, "sha256:" + "A" * 64, "sha512:" + "0" * 64, DIGEST + "0"]
)
def test_what_is_no_digest(text: str) -> None:
    assert not is_digest(text)
    assert is_digest(DIGEST)
