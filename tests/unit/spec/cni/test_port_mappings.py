from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import InvalidInput
from carob.spec.cni.port_mappings import (
    ANY_FREE,
    MOST,
    PortMapping,
    check_mappings,
    mapping_of,
    parse_named_port,
    parse_ports,
    resolve_named,
)

PORTS = st.integers(1, 65535)
ADDRESSES = st.one_of(
    st.just(""),
    st.integers(1, 2**32 - 1).map(lambda number: str(ipaddress.IPv4Address(number))),
    st.integers(1, 2**128 - 1).map(lambda number: str(ipaddress.IPv6Address(number))),
)
MAPPINGS = st.builds(
    PortMapping,
    st.one_of(st.just(ANY_FREE), PORTS),
    PORTS,
    protocol=st.sampled_from(["tcp", "udp", "sctp"]),
    host_ip=ADDRESSES,
)


@given(MAPPINGS)
def test_a_mapping_is_read_back_from_its_text_and_from_its_document(mapping: PortMapping) -> None:
    assert parse_ports(str(mapping)) == (mapping,)
    assert mapping_of(mapping.document()) == mapping
    assert hash(mapping_of(mapping.document())) == hash(mapping)


@given(PORTS, PORTS, st.integers(1, 200))
def test_a_range_is_as_many_mappings_one_after_the_other(host: int, pod: int, count: int) -> None:
    count = min(count, 65536 - host, 65536 - pod)
    found = parse_ports(f"{host}-{host + count - 1}:{pod}-{pod + count - 1}/udp")
    assert [(one.host_port, one.pod_port, one.protocol) for one in found] == [
        (host + step, pod + step, "udp") for step in range(count)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080:80", [PortMapping(8080, 80)]),
        ("8080:80/UDP", [PortMapping(8080, 80, protocol="udp")]),
        ("127.0.0.1:8080:80", [PortMapping(8080, 80, host_ip="127.0.0.1")]),
        ("[::1]:8080:80", [PortMapping(8080, 80, host_ip="::1")]),
        ("0.0.0.0:8080:80", [PortMapping(8080, 80)]),
        ("[::]:8080:80", [PortMapping(8080, 80)]),
        ("80", [PortMapping(ANY_FREE, 80)]),
        ("0:80", [PortMapping(ANY_FREE, 80)]),
        (":80", [PortMapping(ANY_FREE, 80)]),
        ("127.0.0.1::80", [PortMapping(ANY_FREE, 80, host_ip="127.0.0.1")]),
        ("80-81", [PortMapping(ANY_FREE, 80), PortMapping(ANY_FREE, 81)]),
    ],
)
def test_what_is_published(text: str, expected: list[PortMapping]) -> None:
    assert list(parse_ports(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "x", "80:", "0", "65536", "80:0", "8080:80:90", "80/icmp", "80/", "8080:80/tcp/udp"),
        *(
            "1.2.3:80:80",
            "1.2.3.4:80",
            "::1:80:80",
            "[1.2.3.4]:80:80",
            "[::1]80:80",
            "[::1]:80",
            "[::1:80:80",
        ),
        *("80-79:80-79", "80-81:80", "80:80-81", "80-81-82", "-80", "80-", "8 0:80", "+80:80", "\u00b2:80"),
        f"1-{MOST + 1}:1-{MOST + 1}",
    ],
)
def test_what_is_no_mapping_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_ports(text)
    assert repr(text) in caught.value.message


@given(st.text(max_size=30))
def test_any_text_is_mappings_or_refused(text: str) -> None:
    try:
        found = parse_ports(text)
    except InvalidInput:
        return
    for mapping in found:
        assert parse_ports(str(mapping)) == (mapping,)


def test_two_mappings_of_one_port_of_the_host_are_refused() -> None:
    one = PortMapping(80, 80)
    for other in (PortMapping(80, 81), PortMapping(80, 80, host_ip="127.0.0.1")):
        with pytest.raises(InvalidInput):
            check_mappings([one, other])
    check_mappings(
        [
            *(one, PortMapping(80, 80, protocol="udp"), PortMapping(ANY_FREE, 80), PortMapping(ANY_FREE, 80)),
            *(PortMapping(81, 80, host_ip="127.0.0.1"), PortMapping(81, 80, host_ip="127.0.0.2")),
        ]
    )


def test_too_many_mappings_are_refused() -> None:
    with pytest.raises(InvalidInput):
        check_mappings([PortMapping(number % 60000 + 1, 80) for number in range(MOST + 1)])


def test_rkts_named_ports() -> None:
    found = parse_named_port("http:8080")
    assert (found.name, found.host_ip, found.host_port) == ("http", "", 8080)
    found = parse_named_port("my-app:127.0.0.1:80")
    assert (found.name, found.host_ip, found.host_port) == ("my-app", "127.0.0.1", 80)
    assert parse_named_port("a:[::1]:80").host_ip == "::1"
    for text in (
        "",
        "http",
        "http:",
        ":80",
        "HTTP:80",
        "a--b:80",
        "a:80-81",
        "a:b:80",
        "a:1.2.3.4:80:80",
        "f$o:123",
    ):
        with pytest.raises(InvalidInput):
            parse_named_port(text)


def test_a_named_port_leads_to_the_port_of_the_one_app_that_has_it() -> None:
    ports = [("http", 80, 1, "tcp"), ("dns", 53, 1, "udp"), ("range", 9000, 3, "")]
    assert resolve_named(parse_named_port("dns:5353"), ports) == (PortMapping(5353, 53, protocol="udp"),)
    assert [one.host_port for one in resolve_named(parse_named_port("range:7000"), ports)] == [
        7000,
        7001,
        7002,
    ]
    with pytest.raises(InvalidInput) as caught:
        resolve_named(parse_named_port("smtp:25"), ports)
    assert caught.value.hint == "the apps' ports: dns, http, range"
    with pytest.raises(InvalidInput):
        resolve_named(parse_named_port("http:1"), [*ports, ("http", 81, 1, "tcp")])


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"containerPort": "80"},
        {"hostPort": 1.5, "containerPort": 80},
        {"containerPort": 80, "hostIP": 1},
    ],
)
def test_what_is_no_entry_of_port_mappings_is_refused(document: object) -> None:
    with pytest.raises(InvalidInput):
        mapping_of(document)
