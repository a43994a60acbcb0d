from __future__ import annotations

import ipaddress
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.spec.cni.addresses import Cidr, format_ip, parse_address, parse_cidr, parse_ip, parse_mac

IP4 = st.integers(0, 2**32 - 1)
IP6 = st.integers(0, 2**128 - 1)


def expected(text: str) -> tuple[int, int] | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.version, int(address)) if "%" not in text else None


@given(IP4)
def test_every_ipv4_address_is_read_and_written_as_the_standard_library_does(number: int) -> None:
    text = str(ipaddress.IPv4Address(number))
    assert parse_ip(text) == (4, number)
    assert format_ip(4, number) == text


@given(st.one_of(IP6, st.integers(0, 15).map(lambda shift: 0xFFFF << 8 * shift)))
def test_every_ipv6_address_is_read_and_written_as_the_standard_library_does(number: int) -> None:
    text = str(ipaddress.IPv6Address(number % 2**128))
    assert parse_ip(text) == (6, number % 2**128)
    assert parse_ip(ipaddress.IPv6Address(number % 2**128).exploded) == (6, number % 2**128)
    assert format_ip(6, number % 2**128) == text


@given(
    st.lists(
        st.sampled_from(["0", "1", "ffff", "a", "", ":", "::", ".", "1.2.3.4", "12345", "g"]), max_size=12
    )
)
def test_what_is_no_address_for_the_standard_library_is_none_here(parts: list[str]) -> None:
    for text in (":".join(parts), "".join(parts), ".".join(parts)):
        assert parse_ip(text) == expected(text)


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.4 ", "fe80::1%eth0", "²"]
)
def test_no_address(text: str) -> None:
    assert parse_ip(text) is None


@given(IP4, st.integers(0, 32), IP4, st.integers(0, 32))
def test_networks_overlap_as_the_standard_library_says(one: int, a: int, two: int, b: int) -> None:
    first, second = Cidr(4, one, a), Cidr(4, two, b)
    nets = [ipaddress.ip_network((number, length), strict=False) for number, length in ((one, a), (two, b))]
    assert first.overlaps(second) == second.overlaps(first) == nets[0].overlaps(nets[1])
    assert str(first.network()) == str(nets[0])
    assert first.mask == str(nets[0].netmask)
    assert first.contains(second) == nets[1].subnet_of(nets[0])  # type: ignore[arg-type]


@given(IP6, st.integers(0, 128))
def test_a_cidr_is_read_back(number: int, length: int) -> None:
    cidr = Cidr(6, number, length)
    assert parse_cidr(str(cidr)) == cidr
    assert hash(pickle.loads(pickle.dumps(cidr))) == hash(cidr)
    assert not cidr.overlaps(Cidr(4, 0, 0))


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/-1", "10.0.0.1/08", "::/129", "/8"]
)
def test_no_cidr(text: str) -> None:
    assert parse_cidr(text) is None


def test_an_address_without_a_prefix_is_a_network_of_its_own() -> None:
    assert str(parse_address("10.0.0.1")) == "10.0.0.1/32"
    assert str(parse_address("10.0.0.1/8")) == "10.0.0.1/8"
    assert parse_address("x") is None


def test_a_cidr_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Cidr(4, 1, 2).length = 3


def test_hardware_addresses() -> None:
    assert parse_mac("02-AB-cd-00-00-01") == "02:ab:cd:00:00:01"
    for text in (
        "",
        "02:00:00:00:00",
        "01:00:00:00:00:01",
        "00:00:00:00:00:00",
        "0:0:0:0:0:1",
        "02:00:00:00:00:0g",
    ):
        assert parse_mac(text) is None
