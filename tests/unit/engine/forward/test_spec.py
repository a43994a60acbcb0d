"""``[ADDRESS:]LOCAL:REMOTE``, read and refused."""

from __future__ import annotations

import pytest

from carob.engine.forward.spec import ForwardSpec, parse
from carob.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", ("127.0.0.1", 80, 80)),
        ("8080:80", ("127.0.0.1", 8080, 80)),
        (":80", ("127.0.0.1", 0, 80)),
        ("0:80", ("127.0.0.1", 0, 80)),
        ("0.0.0.0:8080:80", ("0.0.0.0", 8080, 80)),
        ("localhost:1:65535", ("127.0.0.1", 1, 65535)),
        ("[::1]:8080:80", ("::1", 8080, 80)),
        ("[fe80:0::1]:80", ("fe80::1", 80, 80)),
    ],
)
def test_what_is_one(text: str, expected: tuple[str, int, int]) -> None:
    assert parse(text) == ForwardSpec(*expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a",
        "80:",
        "80:0",
        "80:65536",
        "-1:80",
        "1:2:3:4",
        "::1:80:80",
        "[::1]80:80",
        "x:80:80",
        "8\u0660:80",
        "80\0",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)
