from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import CorruptData, Unsupported
from carob.spec.cni import request, versions
from carob.spec.cni.configuration import PluginConfiguration, parse_network
from carob.spec.cni.names import (
    container_id_fault,
    interface_name_fault,
    network_name_fault,
    plugin_type_fault,
)

# The example of SPEC.md, section 1.
DBNET: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "cniVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
    "name": "dbnet",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "keyA": ["some more", "plugin specific", "configuration"],
            "ipam": {
                "type": "host-local",
                "subnet": "10.1.0.0/16",
                "gateway": "10.1.0.1",
                "routes": [{"dst": "0.0.0.0/0"}],
            },
            "dns": {"nameservers": ["10.1.0.1"]},
        },
        {"type": "tuning", "capabilities": {"mac": True}, "sysctl": {"net.core.somaxconn": "500"}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def test_the_specifications_example() -> None:
    network = parse_network(DBNET, "dbnet.conflist")
    assert network.name == "dbnet"
    assert [plugin.type for plugin in network.plugins] == ["bridge", "tuning", "portmap"]
    assert network.capabilities() == {"mac", "portMappings"}
    assert versions.choose(network.versions, "dbnet") == "1.1.0"
    assert (network.disable_check, network.disable_gc, network.only_inlined) == (False, False, False)


def test_the_specifications_example_of_a_request() -> None:
    tuning = DBNET["plugins"][1]
    made = request.configuration(
        tuning,
        name="dbnet",
        version="1.1.0",
        previous={"ips": []},
        arguments={"mac": "00:11:22:33:44:66", "portMappings": [{"hostPort": 8080}]},
    )
    assert made == {
        "cniVersion": "1.1.0",
        "name": "dbnet",
        "type": "tuning",
        "sysctl": {"net.core.somaxconn": "500"},
        "runtimeConfig": {"mac": "00:11:22:33:44:66"},
        "prevResult": {"ips": []},
    }


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_a_plugins_own_keys_reach_it_unchanged(keys: dict[str, Any]) -> None:
    own = {key: value for key, value in keys.items() if not key.startswith("cni.dev/")}
    own.pop("capabilities", None)
    made = request.configuration({**own, "type": "x", "cni.dev/x": 1}, name="n", version="1.0.0")
    assert {
        key: made[key]
        for key in own
        if key not in ("name", "cniVersion", "prevResult", "runtimeConfig", "type")
    } == {
        key: own[key]
        for key in own
        if key not in ("name", "cniVersion", "prevResult", "runtimeConfig", "type")
    }
    assert "cni.dev/x" not in made
    assert (made["name"], made["cniVersion"], made["type"]) == ("n", "1.0.0", "x")


def test_a_single_plugin_is_a_list_of_one() -> None:
    network = parse_network({"name": "old", "type": "ptp", "ipMasq": True}, "99-old.conf")
    assert network.versions == (versions.UNSAID,)
    assert network.plugins[0].document["ipMasq"] is True
    assert network.only_inlined


def test_a_list_may_leave_its_plugins_to_other_files() -> None:
    network = parse_network({"name": "n", "cniVersion": "1.1.0"}, "n.conflist")
    more = network.with_plugins([PluginConfiguration({"type": "bridge"}, "n/a.conf")])
    assert [plugin.type for plugin in more.plugins] == ["bridge"]
    with pytest.raises(CorruptData):
        network.with_plugins([])


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": None},
        {"name": "../x"},
        {"name": 5},
        {"cniVersion": "x"},
        {"cniVersion": 1.0},
        {"cniVersions": "1.0.0"},
        {"cniVersions": ["1.0.0", "latest"]},
        {"plugins": []},
        {"plugins": None},
        {"plugins": {}},
        {"plugins": ["bridge"]},
        {"plugins": [{}]},
        {"plugins": [{"type": "../../bin/sh"}]},
        {"plugins": [{"type": ".."}]},
        {"plugins": [{"type": "x", "capabilities": {"mac": "yes"}}]},
        {"plugins": [{"type": "x", "capabilities": ["mac"]}]},
        {"plugins": [{"type": "x", "ipam": {"type": "/bin/sh"}}]},
        {"plugins": [{"type": "x", "ipam": []}]},
        {"plugins": [{"type": "x"}] * 65},
        {"disableCheck": "perhaps"},
        {"disableGC": 1},
    ],
)
def test_what_is_wrong_is_said_with_the_files_name(changes: dict[str, Any]) -> None:
    with pytest.raises(CorruptData) as caught:
        parse_network({**DBNET, **changes}, "10-dbnet.conflist").with_plugins([])
    assert "10-dbnet.conflist" in caught.value.message


def test_a_list_of_its_own_plugins_alone_needs_some() -> None:
    with pytest.raises(CorruptData):
        parse_network({"name": "n", "loadOnlyInlinedPlugins": True}, "n.conflist")


def test_flags_may_be_words() -> None:
    network = parse_network({**DBNET, "disableCheck": "TRUE", "disableGC": "false"}, "x")
    assert network.disable_check
    assert not network.disable_gc


@given(JSON)
def test_any_document_is_a_network_or_refused(document: Any) -> None:
    if isinstance(document, dict):
        try:
            parse_network(document, "x")
        except CorruptData:
            return
        assert isinstance(json.dumps(document), str)


def test_the_newest_version_that_all_know_is_chosen() -> None:
    offered = ["0.3.1", "0.4.0", "1.0.0", "1.1.0", "9.9.9"]
    known = [("bridge", ["0.4.0", "1.0.0"]), ("old", ["0.3.1", "0.4.0"])]
    assert versions.choose(offered, "net", known[:1]) == "1.0.0"
    assert versions.choose(offered, "net", known) == "0.4.0"
    with pytest.raises(Unsupported) as caught:
        versions.choose(["1.0.0"], "net", known)
    assert "old" in caught.value.message
    with pytest.raises(Unsupported):
        versions.choose(["2.0.0"], "net")


def test_what_came_with_which_version() -> None:
    assert [versions.has_check(version) for version in versions.KNOWN] == [False] * 4 + [True] * 3
    assert [version for version in versions.KNOWN if versions.has_gc(version)] == ["1.1.0"]
    assert [versions.is_version(text) for text in ("1.0.0", "1.0.0-rc1", "1.0", "1.0.x", "", "1.0.²")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]


def test_names() -> None:
    assert not network_name_fault("a.b_c-1")
    assert not container_id_fault("0a1b2c3d-0000-4000-8000-000000000000")
    assert not plugin_type_fault("carob-nat")
    assert not interface_name_fault("eth0")
    assert all(network_name_fault(name) for name in ("", ".a", "-a", "a/b", "a b", "é", "a" * 201))
    assert all(plugin_type_fault(name) for name in ("", ".", "..", "a/b", "a\\b", "a\0", "a" * 300))
    assert all(
        interface_name_fault(name) for name in ("", ".", "a" * 16, "a/b", "a:b", "a b", "e%d", "é" * 8, "a\n")
    )


def test_the_environment_holds_cnis_words_and_a_path_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "x")
    made = request.environment(
        request.ADD,
        plugin_directories=("/a", "/b"),
        container_id="c",
        namespace="/proc/1/ns/net",
        interface="eth0",
        arguments=(("IgnoreUnknown", "1"), ("IP", "10.0.0.1")),
    )
    assert made == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C",
        "CNI_COMMAND": "ADD",
        "CNI_PATH": "/a:/b",
        "CNI_CONTAINERID": "c",
        "CNI_NETNS": "/proc/1/ns/net",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IgnoreUnknown=1;IP=10.0.0.1",
    }
    assert "CNI_CONTAINERID" not in request.environment(request.VERSION, plugin_directories=())
