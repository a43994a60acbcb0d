from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import InvalidInput
from carob.spec.cni.network_option import HOST, NETWORKS, NONE, WantedNetwork, parse_networks

NAMES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}", fullmatch=True).filter(
    lambda name: name not in ("none", "host", "all")
)
WORDS = st.text(
    st.characters(categories=["L", "N"], include_characters="_:=./ "), min_size=1, max_size=10
).filter(lambda word: word.isprintable())
KEYS = st.from_regex(r"[A-Za-z0-9_]{1,10}", fullmatch=True).filter(
    lambda key: key.upper() not in ("IP", "MAC", "ALIAS")
)
NETWORK = st.builds(
    WantedNetwork,
    NAMES,
    ips=st.lists(st.ip_addresses().map(str), max_size=3).map(tuple),
    mac=st.sampled_from(["", "02:00:00:00:00:01"]),
    aliases=st.lists(WORDS, max_size=2).map(tuple),
    arguments=st.dictionaries(KEYS, WORDS, max_size=3).map(lambda found: tuple(found.items())),
)


@given(st.lists(NETWORK, min_size=1, max_size=5, unique_by=lambda network: network.name), st.data())
def test_what_is_wanted_is_read_back_however_it_is_split(
    networks: list[WantedNetwork], data: st.DataObject
) -> None:
    texts = [str(network) for network in networks]
    cut = data.draw(st.integers(0, len(texts) - 1))
    values = [",".join(part) for part in (texts[:cut], texts[cut:]) if part]
    found = parse_networks(values)
    assert found.kind == NETWORKS
    assert list(found.networks) == networks
    assert [hash(network) for network in found.networks] == [hash(network) for network in networks]
    assert list(parse_networks([str(found)]).networks) == networks


@given(st.lists(st.text(max_size=30), max_size=3))
def test_any_text_is_networks_or_refused(values: list[str]) -> None:
    try:
        found = parse_networks(values)
    except InvalidInput:
        return
    assert str(parse_networks([str(found)])) == str(found)


def test_what_rkt_takes() -> None:
    assert parse_networks([]).networks == (WantedNetwork("default"),)
    assert parse_networks(["none"]).kind == NONE
    assert parse_networks(["host"]).kind == HOST
    assert [one.name for one in parse_networks(["all,net1:k1=v1;k2=v2", "net2:l1=w1"]).networks] == [
        "all",
        "net1",
        "net2",
    ]
    found = parse_networks(["default:IP=10.1.2.3;MAC=02:00:00:00:00:01;FOO=bar"]).networks[0]
    assert (found.ips, found.mac, found.arguments) == (("10.1.2.3",), "02:00:00:00:00:01", (("FOO", "bar"),))
    found = parse_networks(["net:ip=fd00::5/64;ip=10.1.2.3;alias=db"]).networks[0]
    assert (found.ips, found.aliases) == (("fd00::5/64", "10.1.2.3"), ("db",))


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            ",",
            "a,,b",
            "a,a",
            "a,a:IP=1.2.3.4",
            ":IP=1.2.3.4",
            "none,a",
            "host,none",
            "a,host",
            "none:IP=1.2.3.4",
        ),
        *("all:IP=1.2.3.4", "host:a=b", "a:", "a:b", "a:=b", "a:IP=", "a:IP=x", "a:IP=1.2.3.4/33", "a:MAC=x"),
        *(
            "a:MAC=02:00:00:00:00:01;MAC=02:00:00:00:00:02",
            "a:x=1;x=2",
            "a:x-y=1",
            "a:x=1;",
            "a:x=\n",
            "../x",
            "-a",
        ),
        *("a b", "a/b", "none,none"),
        ",".join(f"n{number}" for number in range(33)),
    ],
)
def test_what_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_networks([value])
    assert "\n" not in caught.value.message.replace("\\n", "")
