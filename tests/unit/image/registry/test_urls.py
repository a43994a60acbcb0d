"""Addresses from strangers: what is taken, what origin they have, and what of them is shown."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.image.registry.urls import Url, is_loopback, mask_user, parse_url, resolve_url, split_port


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "target"),
    [
        ("https://Example.org", "https", "example.org", 443, "/"),
        ("http://example.org:80/a?b=c#d", "http", "example.org", 80, "/a?b=c"),
        ("HTTPS://example.org:8443/a%20b", "https", "example.org", 8443, "/a%20b"),
        ("http://[::1]:5000/v2/", "http", "::1", 5000, "/v2/"),
        ("https://[2001:DB8:0::1]/x", "https", "2001:db8::1", 443, "/x"),
        ("https://127.0.0.1?x", "https", "127.0.0.1", 443, "/?x"),
    ],
)
def test_parts(text: str, scheme: str, host: str, port: int, target: str) -> None:
    url = parse_url(text)
    assert (url.scheme, url.host, url.port, url.target) == (scheme, host, port, target)
    assert url.origin == (scheme, host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "//example.org/x",
        "/x",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "gopher://example.org",
        "javascript:alert(1)",
        "data:text/plain,x",
        "http://",
        "http:///x",
        "http:x",
        "https://user@example.org/",
        "https://user:hunter2@example.org/",
        "https://@example.org/",
        "https://good.example\\@evil.example/",
        "https://good.example\\.evil.example/",
        "https://example.org:x/",
        "https://example.org:99999/",
        "https://example.org:-1/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[::1%25eth0]/",
        "https://[example.org]/",
        "https://ex ample.org/",
        "https://example.org/a b",
        "https://example.org/\r\nHost: evil.example",
        "https://example.org/\tx",
        "https://example.org/\x00",
        "https://ex\u00e4mple.org/",
        "https://example.org/\u00e4",
        "https://example..org/",
        "https://.example.org/",
        "https://example.org/" + "x" * 20000,
    ],
)
def test_what_is_no_web_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_url(text)
    assert "hunter2" not in str(caught.value)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "whole"),
    [
        ("/x?y", "https://a.example:8443/x?y"),
        ("x", "https://a.example:8443/v2/x"),
        ("?y", "https://a.example:8443/v2/blob?y"),
        ("../../../../x", "https://a.example:8443/x"),
        ("//b.example/x", "https://b.example/x"),
        ("http://c.example/x", "http://c.example/x"),
    ],
)
def test_relative_addresses(location: str, whole: str) -> None:
    assert resolve_url(Url("https", "a.example", 8443, "/v2/blob"), location).whole == whole


def test_the_query_is_not_shown() -> None:
    url = parse_url("https://storage.example/blob?X-Signature=hunter2")
    for shown in (str(url), repr(url), f"{url}"):
        assert "hunter2" not in shown
        assert "storage.example/blob" in shown
    assert url.whole.endswith("hunter2")


def test_parameters_are_added_and_escaped() -> None:
    url = parse_url("https://a.example/up?_state=x%3D").with_query(("digest", "sha256:00"), ("b", "c&d=e f"))
    assert url.target == "/up?_state=x%3D&digest=sha256:00&b=c%26d%3De+f"
    assert parse_url("https://a.example/up").with_query(("a", "b")).target == "/up?a=b"
    assert parse_url("https://a.example/up").with_query().target == "/up"


@given(pairs=st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), min_size=1, max_size=4))
def test_no_parameter_gets_out_of_the_query(pairs: list[tuple[str, str]]) -> None:
    encodable = [pair for pair in pairs if not any(0xD800 <= ord(c) < 0xE000 for c in "".join(pair))]
    url = Url("https", "a.example", 443, "/token").with_query(*encodable)
    if encodable:
        parse_url(url.whole)
        assert urlsplit(url.target).path == "/token"
        assert parse_qsl(urlsplit(url.target).query, keep_blank_values=True) == encodable


@given(text=st.text(alphabet=st.sampled_from("htps:/@[]?#%\\.:abc019-_ \r\n\x00\u00e9"), max_size=40))
def test_what_is_taken_is_taken_by_everybody_alike(text: str) -> None:
    """urllib3 and the standard library see the same host in what this module puts together."""
    from urllib3.util import parse_url as other_parse

    try:
        url = parse_url("http://" + text)
    except ValueError:
        return
    for other in (urlsplit(url.whole), urlsplit("http://" + text)):
        assert (other.hostname or "").strip("[]") == url.host or ":" in url.host
    assert (other_parse(url.whole).host or "").strip("[]") == url.host
    assert (other_parse(url.whole).port or {"http": 80, "https": 443}[url.scheme]) == url.port


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("169.254.169.254", False),
        ("example.org", False),
    ],
)
def test_what_is_this_machine_by_its_name(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_authorities() -> None:
    assert split_port("Example.org") == ("example.org", 0)
    assert split_port("[::1]:5000") == ("::1", 5000)
    assert split_port("registry:5000") == ("registry", 5000)
    assert Url("http", "::1", 5000, "/").authority == "[::1]:5000"
    assert Url("https", "a.example", 443, "/").authority == "a.example"
    assert Url("http", "a.example", 443, "/").authority == "a.example:443"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.example/x", "a.example/x"),
        ("user:hunter2@a.example", "***@a.example"),
        ("https://user:hunter2@a.example/x", "https://***@a.example/x"),
        ("https://user:hun@ter2@a.example/x", "https://***@a.example/x"),
        ("https://user:hun/ter2@a.example", "https://***@a.example"),
    ],
)
def test_a_user_in_an_address_is_masked(text: str, shown: str) -> None:
    assert mask_user(text) == shown
