from __future__ import annotations

import pytest

from carob.errors import InvalidInput
from carob.service.addresses import TcpAddress, UnixAddress, grpc_target, parse_address
from carob.service.settings import Limits, ServiceSettings, Tls


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("unix:///run/a.sock", "unix:/run/a.sock"),
        ("/run/a.sock", "unix:/run/a.sock"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("localhost:15441", "127.0.0.1:15441"),
        ("[::1]:80", "[::1]:80"),
        ("[0:0::1]:80", "[::1]:80"),
    ],
)
def test_addresses_are_read(text: str, found: str) -> None:
    assert str(parse_address(text)) == found


@pytest.mark.parametrize(
    "text",
    ["", "unix:a", "unix:", "/run/", "/a\0b", "/" + "a" * 106, "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
     "127.0.0.1:-1", "127.0.0.1:٣", "example.org:80", ":80", "127.0.0.1:99999999999999999999",
    "unix://host/path"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_address(text)


def test_letters_that_mean_more_in_a_uri_are_escaped_for_grpc() -> None:
    assert grpc_target("/run/a b?%#ü") == "unix:/run/a%20b%3F%25%23%C3%BC"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::"])
def test_what_others_reach_needs_tls(host: str) -> None:
    with pytest.raises(InvalidInput, match="reached from elsewhere"):
        ServiceSettings([TcpAddress(host, 80)])
    assert ServiceSettings([TcpAddress(host, 80)], tls=Tls("a", "b", "c")).listen
    with pytest.raises(InvalidInput, match="metrics"):
        ServiceSettings([], tls=Tls("a", "b", "c"), metrics=TcpAddress(host, 80))


def test_loopback_and_paths_do_not() -> None:
    listen = [TcpAddress("127.0.0.1", 80), TcpAddress("::1", 80), UnixAddress("/run/s")]
    assert ServiceSettings(listen, metrics=listen[0]).listen == tuple(listen)


@pytest.mark.parametrize(
    "wrong",
    [
        {"calls": 0},
        {"streams": 0},
        {"threads": 0},
        {"request_bytes": 1},
        {"stall_s": 0.0},
        {"calls": 1 << 31},
    ],
)
def test_limits_that_let_nothing_through_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        Limits(**wrong)
