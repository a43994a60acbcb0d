from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import (
    CarobError,
    CommandFailed,
    CorruptData,
    InvalidInput,
    OutOfResources,
    Unavailable,
    Unsupported,
)
from carob.spec.cni import failure
from carob.spec.cni.result import parse_result
from carob.spec.cni.versions import KNOWN

SANDBOX = "/run/netns/blue"
NEW: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "interfaces": [
        {"name": "cni0", "mac": "00:11:22:33:44:55"},
        {"name": "veth3243", "mac": "55:44:33:22:11:11"},
        {"name": "eth0", "mac": "99:88:77:66:55:44", "sandbox": SANDBOX},
    ],
    "ips": [
        {"address": "10.1.0.5/16", "gateway": "10.1.0.1", "interface": 2},
        {"address": "fd00::5/64", "interface": 2},
        {"address": "192.0.2.1/24", "interface": 0},
    ],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    "dns": {"nameservers": ["10.1.0.1"]},
    "x-own": {"kept": True},
}
MIDDLE = {
    **NEW,
    "cniVersion": "0.4.0",
    "ips": [{"version": str(n), **ip} for n, ip in zip((4, 6, 4), NEW["ips"], strict=True)],
}
OLD = {
    "cniVersion": "0.2.0",
    "ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
    "ip6": {"ip": "fd00::5/64", "routes": [{"dst": "::/0"}]},
    "dns": {"nameservers": ["10.1.0.1"]},
}


@pytest.mark.parametrize("document", [NEW, MIDDLE], ids=["1.0", "0.4"])
def test_what_a_result_says(document: dict[str, Any]) -> None:
    result = parse_result(document, document["cniVersion"], "plugin x")
    assert result.document == document
    assert [str(address.cidr) for address in result.pod_addresses()] == ["10.1.0.5/16", "fd00::5/64"]
    assert result.pod_addresses()[0].gateway == "10.1.0.1"
    assert [interface.name for interface in result.host_interfaces()] == ["cni0", "veth3243"]
    assert result.dns == {"nameservers": ["10.1.0.1"]}


def test_an_old_result_says_as_much() -> None:
    result = parse_result(OLD, "0.2.0", "plugin x")
    assert result.document == OLD
    assert [str(address.cidr) for address in result.pod_addresses()] == ["10.1.0.5/16", "fd00::5/64"]
    assert result.interfaces == ()


def test_a_result_of_another_version_is_turned_into_the_one_asked_for() -> None:
    assert parse_result(MIDDLE, "1.0.0", "x").document == NEW
    assert parse_result(NEW, "0.4.0", "x").document == MIDDLE
    assert parse_result(NEW, "1.1.0", "x").document == {**NEW, "cniVersion": "1.1.0"}
    old = parse_result({key: value for key, value in NEW.items() if key != "x-own"}, "0.2.0", "x").document
    assert old == OLD
    assert parse_result(OLD, "1.0.0", "x").document == {
        "cniVersion": "1.0.0",
        "ips": [{"address": "10.1.0.5/16", "gateway": "10.1.0.1"}, {"address": "fd00::5/64"}],
        "routes": NEW["routes"],
        "dns": NEW["dns"],
    }


def test_a_result_without_a_version_is_of_the_one_asked_for() -> None:
    document = {key: value for key, value in NEW.items() if key != "cniVersion"}
    assert parse_result(document, "1.0.0", "x").document == NEW


@pytest.mark.parametrize("asked", KNOWN)
@pytest.mark.parametrize("document", [NEW, MIDDLE, OLD, {}], ids=["1.0", "0.4", "0.2", "empty"])
def test_the_addresses_survive_every_conversion_and_back(asked: str, document: dict[str, Any]) -> None:
    there = parse_result(document, asked, "x")
    again = parse_result(there.document, asked, "x")
    assert again.document == there.document
    wanted = [str(one.cidr) for one in parse_result(document, "1.0.0", "x").pod_addresses()]
    assert [str(one.cidr) for one in again.pod_addresses()] == wanted


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "x",
        {"cniVersion": "2.0.0"},
        {"cniVersion": 1},
        {"ips": {}},
        {"ips": ["10.0.0.1/8"]},
        {"ips": [{"address": "10.0.0.1"}]},
        {"ips": [{"address": 5}]},
        {"ips": [{}]},
        {"ips": [{"address": "10.0.0.1/8", "gateway": "x"}]},
        {"ips": [{"address": "10.0.0.1/8"}] * 5000},
        {"interfaces": [{"name": 5}]},
        {"interfaces": [{"name": "a\0b"}]},
        {"interfaces": "x"},
        {"cniVersion": "0.2.0", "ip4": "10.0.0.1/8"},
        {"cniVersion": "0.2.0", "ip4": {"ip": "x"}},
    ],
)
def test_what_is_no_result_is_refused_with_the_plugins_name(document: object) -> None:
    with pytest.raises(CorruptData) as caught:
        parse_result(document, "1.0.0", "plugin x")
    assert caught.value.message.startswith("plugin x answered")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["10.0.0.1/8", "x", "::1/64"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "ips",
                    "ip4",
                    "ip6",
                    "ip",
                    "address",
                    "interfaces",
                    "routes",
                    "dst",
                    "dns",
                    "cniVersion",
                    "name",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(JSON, st.sampled_from(KNOWN))
def test_any_document_is_a_result_or_refused(document: object, asked: str) -> None:
    try:
        result = parse_result(document, asked, "x")
    except CorruptData:
        return
    assert result.document["cniVersion"] == asked


def test_what_a_plugin_says_when_it_fails() -> None:
    found = failure.parse_failure({"code": 7, "msg": "Invalid\nConfiguration", "details": "too small"})
    assert found is not None
    assert str(found) == "Invalid Configuration; too small (code 7)"
    assert [failure.parse_failure(one) for one in (None, {}, {"msg": ""}, {"msg": 5}, {"code": 1})] == [
        None
    ] * 5
    loose = failure.parse_failure({"code": "x", "msg": "m", "details": 5})
    assert loose is not None
    assert str(loose) == "m"


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (1, "incompatible", Unsupported),
        (2, "unknown field", InvalidInput),
        (7, "invalid", InvalidInput),
        (11, "later", Unavailable),
        (50, "not available", Unavailable),
        (51, "not available", Unavailable),
        (999, "failed to allocate for range 0: no IP addresses available in range set", OutOfResources),
        (100, "own", CommandFailed),
        (0, "unsaid", CommandFailed),
    ],
)
def test_which_error_a_failure_is(code: int, message: str, kind: type[CarobError]) -> None:
    error = failure.error_for(failure.Failure(code, message), "network n", argv=("/p",), status=1, stderr="s")
    assert type(error) is kind
    assert error.message.startswith(f"network n: {message}")


@given(st.text())
def test_messages_are_one_printable_line(text: str) -> None:
    line = failure.one_line(text)
    assert line.isprintable()
    assert len(line) <= 1000
