"""What gc does for networks after the pods' own clean-up: pods whose directory is gone, leases of nobody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.network.attachment import NAT
from tests.unit.network.laboratory import Host, ask, leases, links, listening, rules, run, settled_links


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host.of_its_own(tmp_path) as made:
        yield made


def test_a_pod_whose_directory_somebody_deleted_is_detached_from_what_the_boot_knows(host: Host) -> None:
    pod, other = host.pod(), host.pod()
    host.attach(pod, ports=("8080:80",))
    host.attach(other)
    address = pod.addresses()[0].partition("/")[0]
    pod.die()
    shutil.rmtree(pod.path)
    assert address in leases(host.places)
    collection = host.collect()
    assert (collection.detached, collection.problems) == ([pod.uuid], [])
    assert address not in leases(host.places)
    assert pod.uuid not in rules()
    assert host.known() == [other.uuid]
    assert host.collect().detached == []


def test_pods_of_another_data_directory_are_left_alone(host: Host) -> None:
    pod = host.pod()
    host.attach(pod, ports=("8080:80",))
    shutil.rmtree(pod.path)
    collection = host.collect(data_dir="/somewhere/else")
    assert (collection.detached, collection.released, collection.removed) == ([], [], [])
    with listening(pod, 80, b"alive"):
        assert ask("127.0.0.1", 8080) == b"alive"


def test_a_pod_that_is_there_is_left_alone_and_its_network_stays(host: Host) -> None:
    pod = host.pod()
    host.attach(pod)
    pod.die()  # ended, and not yet detached: that is for its own clean-up
    collection = host.collect()
    assert (collection.detached, collection.released, collection.removed) == ([], [], [])
    assert len(leases(host.places)) == 1


def test_leases_of_nobody_on_carobs_own_networks_are_given_back(host: Host) -> None:
    pod = host.pod()
    host.attach(pod)
    directory = Path(host.places.leases()) / "default"
    (directory / "10.78.0.200").write_text("0a1b2c3d-0000-4000-8000-000000000001\r\neth0")
    (directory / "10.78.0.201").touch()
    collection = host.collect()
    assert sorted(collection.released) == ["10.78.0.200", "10.78.0.201"]
    assert len(leases(host.places)) == 1


def test_leases_of_others_in_a_shared_directory_are_not_touched(host: Host) -> None:
    shared = host.directory / "leases"
    ipam = {"type": "host-local", "subnet": "10.201.0.0/24", "dataDir": str(shared)}
    host.configure("plain", {"type": "bridge", "bridge": "br-plain", "ipam": ipam})
    pod = host.pod()
    host.attach(pod, "plain")
    foreign = shared / "plain" / "10.201.0.99"
    foreign.write_text("0a1b2c3d-0000-4000-8000-000000000001\r\neth0")
    pod.die()
    shutil.rmtree(pod.path)
    assert host.collect().detached == [pod.uuid]
    assert host.leases_of(pod) == []
    assert foreign.exists()


def test_a_network_of_somebody_elses_bridge_loses_its_rules_and_keeps_its_bridge(host: Host) -> None:
    ipam = {"type": "host-local", "subnet": "10.201.0.0/24", "dataDir": str(host.directory / "leases")}
    nat = {"type": NAT, "interface": "br-own", "subnets": ["10.201.0.0/24"], "ipMasq": True}
    host.configure("own", {"type": "bridge", "bridge": "br-own", "ipam": ipam}, nat)
    pod = host.pod()
    host.attach(pod, "own")
    assert "carob network=own " in rules()
    pod.die()
    host.detach(pod)
    assert host.collect().removed == ["own"]
    assert "carob" not in rules().lower()
    assert settled_links({"lo", "br-own"}) == {"lo", "br-own"}


def test_a_bridge_with_a_port_that_is_not_carobs_stays(host: Host) -> None:
    pod = host.pod()
    host.attach(pod)
    pod.die()
    host.detach(pod)
    settled_links({"lo", "carob0"})
    run("ip", "link", "add", "mine", "type", "veth", "peer", "name", "mine-too")
    run("ip", "link", "set", "mine", "master", "carob0")
    assert host.collect().removed == ["default"]
    assert "carob0" in links()
    assert "carob" not in rules().lower()


def test_what_cannot_be_done_is_told_and_stops_nothing_else(host: Host) -> None:
    broken, pod = host.pod(), host.pod()
    for one in (broken, pod):
        host.attach(one)
        one.die()
        shutil.rmtree(one.path)
    (Path(host.places.pod_state(broken.uuid)) / "plan.json").write_text("{")
    collection = host.collect()
    assert collection.detached == [pod.uuid]
    assert len(collection.problems) == 1
    assert broken.uuid in collection.problems[0]
    assert collection.removed == [], "whose plan cannot be read may be on any network"
    shutil.rmtree(host.places.pod_state(broken.uuid))
    collection = host.collect()
    assert (len(collection.released), collection.removed) == (1, ["default"])
    assert leases(host.places) == []


def test_a_host_without_networks_is_left_as_it_is(host: Host) -> None:
    before = rules()
    collection = host.collect()
    assert (collection.detached, collection.released, collection.removed, collection.problems) == (
        [],
        [],
        [],
        [],
    )
    assert not Path(host.places.state).exists()
    assert rules() == before
