"""Proxies by the environment."""

from __future__ import annotations

import pytest

from carob.errors import CarobError, InvalidInput, Unsupported
from carob.image.registry.proxies import Proxies
from carob.image.registry.urls import parse_url


def find(environment: dict[str, str], url: str) -> str | None:
    proxy = Proxies(environment).find(parse_url(url))
    return None if proxy is None else proxy.url


BOTH = {"HTTPS_PROXY": "http://secure.example:3128", "http_proxy": "plain.example:8080"}


def test_one_for_each_scheme() -> None:
    assert find(BOTH, "https://a.example/") == "http://secure.example:3128"
    assert find(BOTH, "http://a.example/") == "http://plain.example:8080"
    assert find({}, "https://a.example/") is None
    assert find({"HTTPS_PROXY": ""}, "https://a.example/") is None


def test_a_cgi_programs_header_is_no_proxy() -> None:
    assert find({"HTTP_PROXY": "http://evil.example", "REQUEST_METHOD": "GET"}, "http://a.example/") is None


@pytest.mark.parametrize("url", ["http://localhost/", "http://127.0.0.1:5000/", "https://[::1]/"])
def test_this_machine_is_never_beyond_a_proxy(url: str) -> None:
    assert find(BOTH, url) is None


@pytest.mark.parametrize(
    ("exceptions", "url", "excepted"),
    [
        ("*", "https://a.example/", True),
        ("a.example", "https://a.example/", True),
        ("a.example", "https://b.a.example/", True),
        ("a.example", "https://ba.example/", False),
        (".a.example", "https://a.example/", False),
        (".a.example", "https://b.a.example/", True),
        ("*.a.example", "https://b.a.example/", True),
        ("x, A.Example ,y", "https://a.example/", True),
        ("a.example:8443", "https://a.example/", False),
        ("a.example:8443", "https://a.example:8443/", True),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.1.2.3", "https://10.1.2.3/", True),
        ("2001:db8::/32", "https://[2001:db8::1]/", True),
        ("[2001:db8::1]:443", "https://[2001:db8::1]/", True),
        ("2001:db8::1", "https://[2001:db8::1]/", True),
        ("", "https://a.example/", False),
        (",, ,", "https://a.example/", False),
        ("a.example/b", "https://a.example/", False),
    ],
)
def test_exceptions(exceptions: str, url: str, excepted: bool) -> None:
    assert (find({**BOTH, "NO_PROXY": exceptions}, url) is None) is excepted


def test_credentials_are_taken_out_and_not_shown() -> None:
    proxy = Proxies({"HTTPS_PROXY": "http://ann:h%40unter2@p.example:3128"}).find(
        parse_url("https://a.example/")
    )
    assert proxy is not None
    assert proxy.credentials == "ann:h@unter2"
    assert proxy.url == "http://p.example:3128"
    assert "unter2" not in repr(proxy)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("socks5://ann:hunter2@p.example", Unsupported),
        ("http://ann:hunter2@", InvalidInput),
        ("http://ann:hunter2@p.example:x", InvalidInput),
        ("http://ann:hunter2@p.ex\nample", InvalidInput),
        ("http://[::1", InvalidInput),
    ],
)
def test_a_proxy_that_is_none_is_said_without_its_password(value: str, error: type[CarobError]) -> None:
    with pytest.raises(error) as caught:
        find({"HTTPS_PROXY": value}, "https://a.example/")
    assert "HTTPS_PROXY" in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint
