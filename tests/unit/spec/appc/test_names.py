"""The restricted strings: names, hashes, UUIDs, versions, dates, addresses."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest

from carob.errors import InvalidInput
from carob.spec.appc import (
    URL,
    UUID,
    ACIdentifier,
    ACKind,
    ACName,
    Date,
    Hash,
    SemVer,
    sanitize_acidentifier,
    sanitize_acname,
)

REFUSED = {
    ACName: ["", "A", "a_b", "-a", "a-", "a.b", "a b", "\u00e9", "a\n"],
    ACIdentifier: ["", "A", "/a", "a/", "a b", "a:b", "\u00e9", "~"],
    ACKind: ["", "podmanifest", "App"],
    Hash: ["", "sha512", "sha512-", "sha256-ab", "-ab", "sha512-a-b"],
    UUID: ["", "6733c088", "6733C088-A507-4694-AABF-EDBE4FC5266", "g" * 32, " " + "0" * 31, "\u0660" * 32],
    SemVer: [
        "",
        "1.2",
        "1.2.3.4",
        "a.b.c",
        "0.0.0",
        "00.0.0-",
        "0.0.0+",
        "1.2.9223372036854775808",
        "-1.2.3",
    ],
    Date: [
        "",
        "2016-01-02",
        "2016-01-02 03:04:05Z",
        "2021-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2016-13-01T00:00:00Z",
        "2016-01-02T24:00:00Z",
        "2016-01-02T03:04:60Z",
        "2016-01-02T03:04:05",
        "2016-01-02T03:04:05.Z",
        "2016-01-02T03:04:05+0100",
        "2016-01-02T03:04:05+25:00",
        "2016-01-02T03:04:05z",
    ],
    URL: [
        "",
        "a.b/c",
        "ftp://a",
        "http//a",
        "http://a b/",
        "http://a/%zz",
        "http://a/#%4",
        "http://a:b/",
        "http://%41/",
        "http://[::1/",
        "http://[1.2.3.4]/",
        "http://a[::1]/",
        "http://u v@h/",
        "http://a/\n",
    ],
}
ACCEPTED = {
    ACName: ["a", "a-b", "a--b", "0"],
    ACIdentifier: ["a", "example.com/a_b~c-d.e", "a//b", "coreos.com/rkt/stage1/mutable"],
    ACKind: ["ImageManifest", "PodManifest"],
    Hash: ["sha512-1", "sha512-" + "ab" * 64, "sha512-not hexadecimal"],
    UUID: ["6733c088-a507-4694-aabf-edbe4fc5266f"],
    SemVer: ["0.8.11", "1.2.3-a.1+b", "0.0.0-a", "9223372036854775807.0.0"],
    Date: ["2016-01-02T03:04:05Z", "2000-02-29T23:59:59-07:30", "0000-01-01T00:00:00Z"],
    URL: [
        "http://a",
        "HTTPS://u:p@h:80/%41?%zz#%41",
        "http:",
        "http:x y",
        "http:///p",
        "http://[::1]:8/",
        "http://[fe80::1%25en0]/",
        "http://\u00e9%c3/",
        "http://a:1:2/",
        "http://u@v@w/",
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in REFUSED for text in REFUSED[kind]])
def test_refused(kind: type[str], text: str) -> None:
    with pytest.raises(InvalidInput):
        kind(text)


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in ACCEPTED for text in ACCEPTED[kind]])
def test_accepted_as_it_is_and_a_string_still(kind: type[str], text: str) -> None:
    value = kind(text)
    assert value == text
    assert {value: 1}[text] == 1
    assert type(pickle.loads(pickle.dumps(value))) is kind
    assert kind(value) is value


def test_something_else_than_a_string_is_refused() -> None:
    with pytest.raises(InvalidInput, match="string"):
        ACName(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        (UUID("6733C088A5074694AABFEDBE4FC5266F"), "6733c088-a507-4694-aabf-edbe4fc5266f"),
        (UUID("67-33C088A5074694AABFEDBE4FC5266F-"), "6733c088-a507-4694-aabf-edbe4fc5266f"),
        (SemVer("00.08.011"), "0.8.11"),
        (SemVer("1.2.3-"), "1.2.3"),
        (SemVer("1.2.3+a-b+c"), "1.2.3+a-b+c"),
        (Date("2016-01-02T3:04:05.123Z"), "2016-01-02T03:04:05Z"),
        (Date("2016-01-02T03:04:05,5+00:00"), "2016-01-02T03:04:05Z"),
        (Date("2016-01-02T03:04:05+24:60"), "2016-01-02T03:04:05+25:00"),
    ],
)
def test_canonical_forms(given: str, canonical: str) -> None:
    assert given == canonical


def test_new_uuids_are_random_and_of_version_4() -> None:
    made = {UUID.new() for _ in range(50)}
    assert len(made) == 50
    assert all(UUID(str(uuid)) == uuid and uuid[14] == "4" and uuid[19] in "89ab" for uuid in made)


def test_the_nil_uuid_can_be_told() -> None:
    assert UUID("0" * 32).is_nil
    assert not UUID.new().is_nil


def test_versions_are_ordered_by_precedence() -> None:
    ordered = ["0.8.11", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-a", "1.0.0-a.b", "1.0.0", "1.0.1", "1.2.0"]
    assert all(SemVer(lower) < SemVer(higher) for lower, higher in pairwise(ordered))
    assert all(SemVer(higher) > SemVer(lower) for lower, higher in pairwise(ordered))
    assert sorted(map(SemVer, reversed(ordered))) == ordered
    assert SemVer("1.0.0+a") <= SemVer("1.0.0+b") <= SemVer("1.0.0+a")


def test_parts_of_a_version_and_of_a_hash() -> None:
    version = SemVer("1.2.3-a.1+b-c")
    assert (version.numbers, version.pre_release, version.metadata) == ((1, 2, 3), "a.1", "b-c")
    whole = Hash.of(b"")
    assert (whole.algorithm, whole.value[:8], len(whole)) == ("sha512", "cf83e135", 135)
    assert whole.short == "sha512-cf83e1357eefb8bdf1542850d66d8007"


@pytest.mark.parametrize(
    ("given", "name", "identifier"),
    [
        ("A b/C--", "a-b-c", "a_b/c"),
        ("_x\u00e9_", "x", "x"),
        ("\u0130\u212a", "ik", "ik"),
        ("Example.com/App:1", "example-com-app-1", "example.com/app_1"),
    ],
)
def test_sanitizing(given: str, name: str, identifier: str) -> None:
    assert sanitize_acname(given) == name
    assert sanitize_acidentifier(given) == identifier


def test_sanitizing_what_has_nothing_to_keep() -> None:
    with pytest.raises(InvalidInput):
        sanitize_acname("-\u00e9-")
