"""WWW-Authenticate: as it is written in the wild, and as nobody should write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.image.registry.challenge import parse_challenges


def parse(*lines: str) -> list[tuple[str, dict[str, str]]]:
    return [(challenge.scheme, challenge.parameters) for challenge in parse_challenges(list(lines))]


def test_dockers_hub() -> None:
    line = (
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
        'scope="repository:samalba/my-app:pull,push"'
    )
    assert parse(line) == [
        (
            "bearer",
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:samalba/my-app:pull,push",
            },
        )
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['Basic realm="x"'], [("basic", {"realm": "x"})]),
        (["BASIC REALM=x"], [("basic", {"realm": "x"})]),
        (
            ['Basic realm="x"', "Bearer realm=y"],
            [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})],
        ),
        (
            ['Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"'],
            [
                ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
                ("basic", {"realm": "simple"}),
            ],
        ),
        (['Negotiate abc==, Basic realm="x"'], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (['Negotiate,  Basic realm="x"'], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (['Bearer realm = "x" ,, service\t=\ty ,'], [("bearer", {"realm": "x", "service": "y"})]),
        (['Bearer realm="a,b=c, Basic d"'], [("bearer", {"realm": "a,b=c, Basic d"})]),
        (['Bearer realm=""'], [("bearer", {"realm": ""})]),
    ],
)
def test_what_rfc_9110_allows(lines: list[str], expected: object) -> None:
    assert parse(*lines) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("=", []),
        ("a=b", []),
        ('"Bearer"', []),
        ('Bearer realm="no end', [("bearer", {})]),
        ('Bearer realm="ends in an escape\\', [("bearer", {})]),
        ("Bearer realm=", [("bearer", {})]),
        ("Bearer realm=x realm=y", [("bearer", {"realm": "x"})]),
        ('Bearer realm="x"service="y"', [("bearer", {"realm": "x"})]),
        ("Bearer realm=x, realm=y, REALM=z", [("bearer", {"realm": "x"})]),
        ("Bearer \x00=x", [("bearer", {})]),
    ],
)
def test_what_is_malformed_ends_the_reading(line: str, expected: object) -> None:
    assert parse(line) == expected


def test_what_comes_before_and_after_a_malformed_line_counts() -> None:
    assert parse("Basic realm=x", '"', "Bearer realm=y") == [
        ("basic", {"realm": "x"}),
        ("bearer", {"realm": "y"}),
    ]


def test_there_are_not_more_than_so_many() -> None:
    assert len(parse(",".join(f"S{number}" for number in range(1000)))) == 32
    ((_, parameters),) = parse("Bearer " + ",".join(f"p{number}=1" for number in range(1000)))
    assert len(parameters) == 32


@given(
    lines=st.lists(st.text(alphabet=st.sampled_from('Bearer basic=",\\ \t;:/az09=\x00\u00e9'), max_size=60))
)
def test_nothing_makes_it_fail(lines: list[str]) -> None:
    for scheme, parameters in parse(*lines):
        assert scheme
        assert scheme == scheme.lower()
        assert all(name and name == name.lower() for name in parameters)


_token = st.text(alphabet="abcdefghij-", min_size=1, max_size=10)
_value = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@given(scheme=_token, parameters=st.dictionaries(_token, _value, max_size=5))
def test_what_is_quoted_comes_back(scheme: str, parameters: dict[str, str]) -> None:
    quoted = [
        f'{name}="{value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
        for name, value in parameters.items()
    ]
    assert parse(f"{scheme} {', '.join(quoted)}") == [(scheme, parameters)]
