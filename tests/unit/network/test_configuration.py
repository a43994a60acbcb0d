from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carob.errors import CorruptData, InvalidInput, NotFound, OutOfResources, Unsupported
from carob.network import host_resolver, subnets
from carob.network.attachment import NAT, parse_plan
from carob.network.configuration import Catalogue
from carob.network.places import Places, places_of, users_places
from carob.network.planning import make_plan
from carob.network.subnets import Subnet, candidates, first_free
from carob.spec.cni.addresses import Cidr, parse_cidr
from carob.spec.cni.network_option import parse_networks
from carob.spec.cni.port_mappings import parse_ports
from carob.spec.cni.resolver import Resolver
from tests.unit.network.made_plugins import Workshop


def put(directory: Path, name: str, document: Any) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(document if isinstance(document, str) else json.dumps(document))


def net(name: str, *plugins: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    listed = [plugin if isinstance(plugin, dict) else {"type": plugin} for plugin in plugins or ("bridge",)]
    return {"cniVersion": "1.0.0", "name": name, "plugins": listed, **more}


@pytest.fixture
def net_d(workshop: Workshop) -> Path:
    for kind in ("bridge", "ptp", "portmap", "tuning", "host-local", "ipam"):
        workshop.plugin(
            kind, 'VERSION) echo \'{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}\' ;;'
        )
    return workshop.directory / "net.d"


# --- which networks there are ------------------------------------------------------------------------------


def test_files_are_read_in_order_and_the_first_of_a_name_counts(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    put(one, "20-b.conf", {"name": "b", "type": "ptp"})
    put(one, "10-a.json", {"name": "a", "type": "ptp"})
    put(one, "30-b.conflist", net("b"))
    put(one, "notes.txt", "{")
    put(one, ".hidden.conflist", net("hidden"))
    put(two, "00-a.conflist", net("a"))
    put(two, "01-c.conflist", net("c"))
    catalogue = Catalogue(Places(configurations=(str(one), str(tmp_path / "missing"), str(two))))
    assert list(catalogue.networks) == ["b", "a", "c"]
    assert catalogue.get("b").source == f"{one}/30-b.conflist"
    assert catalogue.get("a").source == f"{one}/10-a.json"
    assert catalogue.names() == ["b", "a", "c", "default", "default-restricted"]
    assert catalogue.problems == []


def test_a_broken_file_hides_no_other_and_is_told_about_where_a_network_is_missing(tmp_path: Path) -> None:
    put(tmp_path, "00-broken.conflist", "{")
    put(tmp_path, "01-empty.conflist", {})
    put(tmp_path, "10-good.conflist", net("good"))
    catalogue = Catalogue(Places(configurations=(str(tmp_path),)))
    assert catalogue.get("good").name == "good"
    with pytest.raises(NotFound) as caught:
        catalogue.get("other")
    assert "00-broken.conflist: not JSON" in caught.value.message
    assert "01-empty.conflist" in caught.value.message
    assert "good, default, default-restricted" in caught.value.hint


def test_plugins_may_be_in_files_of_a_folder_with_the_networks_name(tmp_path: Path) -> None:
    put(tmp_path, "10-n.conflist", {"cniVersion": "1.1.0", "name": "n"})
    put(tmp_path, "20-m.conflist", net("m", "bridge"))
    put(tmp_path, "30-alone.conflist", net("alone", "bridge", loadOnlyInlinedPlugins=True))
    for name in ("n", "m", "alone"):
        put(tmp_path / name, "20-b.conf", {"type": "tuning"})
        put(tmp_path / name, "10-a.conf", {"type": "portmap"})
        put(tmp_path / name, "readme.txt", "{")
    catalogue = Catalogue(Places(configurations=(str(tmp_path),)))
    assert [[plugin.type for plugin in network.plugins] for network in catalogue.networks.values()] == [
        ["portmap", "tuning"],
        ["bridge", "portmap", "tuning"],
        ["bridge"],
    ]


def test_what_is_no_file_is_a_problem_and_no_exception(tmp_path: Path) -> None:
    (tmp_path / "10-d.conflist").mkdir()
    put(tmp_path, "20-big.conflist", " " * (2 << 20))
    (tmp_path / "30-loop.conf").symlink_to("30-loop.conf")
    catalogue = Catalogue(Places(configurations=(str(tmp_path), str(tmp_path / "20-big.conflist"))))
    assert len(catalogue.problems) == 3
    assert catalogue.networks == {}


def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/me/.config")
    monkeypatch.delenv("NETCONFPATH", raising=False)
    found = users_places()
    own = ("/home/me/.config/carob/net.d", "/etc/carob/net.d", "/etc/rkt/net.d")
    assert found.configurations == own
    monkeypatch.setenv("NETCONFPATH", "/etc/cni/net.d")
    assert users_places().configurations == (*own, "/etc/cni/net.d")
    assert places_of(found.document()).plugins == found.plugins
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert users_places().state == "/run/user/1000/carob/networks"


# --- subnets -----------------------------------------------------------------------------------------------


def test_candidates_are_private_and_do_not_overlap() -> None:
    found = list(candidates())
    private = [parse_cidr(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
    assert all(any(one is not None and one.contains(cidr) for one in private) for cidr in found)
    assert all(cidr == cidr.network() for cidr in found)
    assert not any(a.overlaps(b) for number, a in enumerate(found) for b in found[:number])


def test_the_first_free_candidate_is_taken() -> None:
    found = list(candidates())
    assert first_free([]) == found[0]
    assert first_free([Cidr(6, 0, 0), *found[:3]]) == found[3]
    assert first_free([Cidr(4, 10 << 24, 8)]) == next(one for one in found if one.address >> 24 != 10)
    assert first_free([Cidr(4, 0, 0)]) is None


def test_the_hosts_name_servers_as_a_pod_may_use_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "stub", "nameserver 127.0.0.53\noptions edns0\nsearch example.org\n")
    put(tmp_path, "behind", "nameserver 192.0.2.1\nnameserver ::1\n")
    monkeypatch.setattr(host_resolver, "_FILE", str(tmp_path / "stub"))
    monkeypatch.setattr(host_resolver, "_BEHIND_THE_STUB", str(tmp_path / "behind"))
    assert host_resolver.host_resolver().text() == "search example.org\nnameserver 192.0.2.1\noptions edns0\n"
    monkeypatch.setattr(host_resolver, "_BEHIND_THE_STUB", str(tmp_path / "missing"))
    assert host_resolver.host_resolver().servers == ()
    put(tmp_path, "stub", "nameserver 192.0.2.7\n")
    assert host_resolver.host_resolver().servers == ("192.0.2.7",)
    monkeypatch.setattr(host_resolver, "_FILE", str(tmp_path / "missing"))
    assert not host_resolver.host_resolver()


# --- plans -------------------------------------------------------------------------------------------------


def plan_for(workshop: Workshop, *values: str, ports: str = "", **more: Any) -> Any:
    mappings = parse_ports(ports) if ports else ()
    plan = make_plan(workshop.uuid, parse_networks(values), workshop.places, mappings=mappings, **more)
    again = parse_plan(plan.text(), "plan.json")
    assert again.text() == plan.text()
    return again


def test_a_plan_holds_what_was_configured(workshop: Workshop, net_d: Path) -> None:
    put(net_d, "a.conflist", net("a", {"type": "bridge", "x-own": [1]}, disableCheck=True))
    put(net_d, "b.conflist", net("b", "ptp"))
    plan = plan_for(workshop, "b,a:FOO=bar")
    assert [(one.network, one.interface, one.version) for one in plan.attachments] == [
        ("b", "eth0", "1.0.0"),
        ("a", "eth1", "1.0.0"),
    ]
    assert plan.attachments[1].plugins == ({"type": "bridge", "x-own": [1]},)
    assert plan.attachments[1].arguments == (("FOO", "bar"), ("IgnoreUnknown", "1"))
    assert plan.attachments[1].disable_check
    assert plan.plugin_directories == workshop.places.plugins


def test_all_networks_are_those_configured_and_carobs_own(
    workshop: Workshop, net_d: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carob.network.configuration.subnet_for", lambda *_: Subnet(Cidr(4, 10 << 24, 16), 0))
    put(net_d, "b.conflist", net("b"))
    put(net_d, "a.conflist", net("a"))
    names = [one.network for one in plan_for(workshop, "all,b:IP=10.0.0.1").attachments]
    assert names == ["b", "a", "default", "default-restricted"]


def test_no_networks_and_the_hosts_network_make_an_empty_plan(workshop: Workshop) -> None:
    for kind in ("none", "host"):
        assert plan_for(workshop, kind).attachments == ()
        with pytest.raises(InvalidInput):
            plan_for(workshop, kind, ports="80:80")


def test_what_plugins_can_be_told_goes_by_capability_and_the_rest_by_arguments(
    workshop: Workshop, net_d: Path
) -> None:
    wants = {"ips": True, "mac": True, "dns": True, "aliases": True}
    put(net_d, "a.conflist", net("a", {"type": "bridge", "capabilities": wants}))
    put(net_d, "b.conflist", net("b"))
    asked = ":IP=10.0.0.5/16;MAC=02:00:00:00:00:01"
    plan = plan_for(workshop, f"a{asked};ALIAS=db", f"b{asked}", resolver=Resolver(["192.0.2.1"]))
    assert plan.attachments[0].capabilities == {
        "ips": ["10.0.0.5/16"],
        "mac": "02:00:00:00:00:01",
        "aliases": ["db"],
        "dns": {"servers": ["192.0.2.1"], "searches": [], "options": []},
    }
    assert plan.attachments[0].arguments == ()
    assert plan.attachments[1].capabilities == {}
    assert plan.attachments[1].arguments == (
        ("IP", "10.0.0.5/16"),
        ("MAC", "02:00:00:00:00:01"),
        ("IgnoreUnknown", "1"),
    )
    for refused in ("b:ALIAS=x", "b:IP=10.0.0.1;IP=10.0.0.2"):
        with pytest.raises(InvalidInput):
            plan_for(workshop, refused)


def test_one_network_publishes_the_ports_the_first_that_can(workshop: Workshop, net_d: Path) -> None:
    put(net_d, "a.conflist", net("a"))
    put(net_d, "b.conflist", net("b", "bridge", {"type": "portmap", "capabilities": {"portMappings": True}}))
    plan = plan_for(workshop, "a,b", ports="8080:80")
    assert [len(one.published()) for one in plan.attachments] == [0, 1]
    assert NAT not in plan.attachments[1].types()


def test_where_no_plugin_can_carob_publishes_on_the_network_that_rkt_would_take(
    workshop: Workshop, net_d: Path
) -> None:
    put(net_d, "a.conflist", net("a"))
    put(net_d, "b.conf", {"name": "b", "type": "ptp", "ipMasq": True})
    put(net_d, "c.conflist", net("c"))
    plan = plan_for(workshop, "a,b,c", ports="8080:80")
    assert [one.types()[-1] for one in plan.attachments] == ["bridge", NAT, "bridge"]
    assert plan.attachments[1].version == "0.1.0"
    assert len(plan.attachments[1].published()) == 1
    assert plan_for(workshop, "a,c", ports="8080:80").attachments[1].types() == ("bridge", NAT)


def test_plugins_are_asked_for_their_versions_where_there_is_a_choice_and_only_once(
    workshop: Workshop, net_d: Path
) -> None:
    choice = {"cniVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]}
    put(net_d, "a.conflist", net("a", {"type": "bridge", "ipam": {"type": "ipam"}}, **choice))
    put(net_d, "b.conflist", net("b"))
    assert plan_for(workshop, "b").attachments[0].version == "1.0.0"
    assert workshop.calls() == []
    assert plan_for(workshop, "a").attachments[0].version == "1.0.0"
    assert sorted(workshop.calls()) == ["VERSION bridge ", "VERSION ipam "]
    plan_for(workshop, "a")
    assert workshop.calls() == []
    workshop.plugin("bridge", 'VERSION) echo \'{"supportedVersions":["0.4.0"]}\' ;;')
    assert plan_for(workshop, "a").attachments[0].version == "0.4.0"
    assert workshop.calls() == ["VERSION bridge "]
    workshop.plugin("bridge", "VERSION) exit 1 ;;")  # as plugins of 0.1.0 do
    with pytest.raises(Unsupported) as caught:
        plan_for(workshop, "a")
    assert "bridge supports 0.1.0" in caught.value.hint
    workshop.plugin("bridge", "VERSION) echo '{}' ;;")
    with pytest.raises(CorruptData):
        plan_for(workshop, "a")


def test_a_plugin_that_is_missing_is_missed_when_the_pod_is_prepared(workshop: Workshop, net_d: Path) -> None:
    put(net_d, "a.conflist", net("a", "no-such-plugin"))
    put(net_d, "b.conflist", net("b", {"type": "bridge", "ipam": {"type": "no-such-ipam"}}))
    put(net_d, "c.conflist", net("c", "bridge", cniVersion="3.0.0"))
    for name in "abc":
        with pytest.raises(Unsupported):
            plan_for(workshop, name)
    with pytest.raises(NotFound):
        plan_for(workshop, "d")


def test_where_every_subnet_is_taken_that_is_said(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subnets.netlink, "addresses", lambda: [(1, Cidr(4, 0, 1)), (1, Cidr(4, 1 << 31, 1))])
    with pytest.raises(OutOfResources) as caught:
        plan_for(workshop, "default")
    assert "/etc/carob/net.d" in caught.value.hint
