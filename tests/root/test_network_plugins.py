"""Networks made by the real plugins, on hosts of the tests' own: who reaches whom, and what stays."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from carob.errors import CarobError, CommandFailed, Conflict, OutOfResources
from carob.linux.namespaces import CLONE_NEWNET
from carob.linux.syscall import syscall
from carob.network.attach import Attached
from carob.network.attachment import NAT
from carob.network.inspection import check
from carob.pod import netinfo
from tests.unit.network.laboratory import (
    SYS_SETNS,
    Host,
    Pod,
    ask,
    leases,
    links,
    listening,
    rules,
    run,
    settled_links,
)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host.of_its_own(tmp_path) as made:
        yield made


STANDARD: list[dict[str, Any]] = [
    {"type": "bridge", "bridge": "br0", "isGateway": True, "ipMasq": True},
    {"type": "portmap", "capabilities": {"portMappings": True}},
    {"type": "firewall", "backend": "iptables"},
]


def ipam(host: Host, subnet: str) -> dict[str, Any]:
    return {
        "type": "host-local",
        "subnet": subnet,
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(host.directory / "leases"),
    }


def standard(host: Host, name: str = "plain", subnet: str = "10.201.0.0/24") -> None:
    """Configures a network of plugins from Debian's package alone."""
    plugins = [{**STANDARD[0], "bridge": f"br-{name}", "ipam": ipam(host, subnet)}, *STANDARD[1:]]
    host.configure(name, *plugins)


@contextmanager
def outside(host: Host) -> Iterator[Pod]:
    """Somebody on the host's other side, who knows of no pods: 192.0.2.2, the host being 192.0.2.1."""
    peer = host.pod()
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", peer.namespace)
    run("ip", "address", "add", "192.0.2.1/24", "dev", "up0")
    run("ip", "link", "set", "up0", "up")
    peer.inside("ip", "address", "add", "192.0.2.2/24", "dev", "down0")
    peer.inside("ip", "link", "set", "down0", "up")
    yield peer


def ask_from(pod: Pod, address: str, port: int, *, timeout_s: float = 3.0) -> bytes:
    """What answers a pod at an address, or nothing."""
    found: list[bytes] = []

    def connect() -> None:
        with open(pod.namespace) as namespace:
            syscall(SYS_SETNS, namespace.fileno(), CLONE_NEWNET)
        try:
            found.append(ask(address, port, timeout_s=timeout_s))
        except OSError:
            found.append(b"")

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    return found[0]


def answer_once(server: socket.socket, word: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(word)


def address_of(attached: Attached, number: int = 0) -> str:
    return attached.networks[number][1].pod_addresses()[0].cidr.ip


def end(host: Host, pod: Pod) -> None:
    """The pod ends, is detached without its namespace, and has left nothing."""
    pod.die()
    assert host.detach(pod) == {}
    assert pod.uuid not in rules()
    assert host.leases_of(pod) == []
    assert pod.uuid not in host.known()


def test_pods_on_the_default_network_reach_each_other_and_are_reached(host: Host) -> None:
    run("iptables", "--policy", "FORWARD", "DROP")  # as Docker leaves it
    one, two = host.pod(), host.pod()
    first, second = host.attach(one), host.attach(two)
    assert one.addresses() == [f"{address_of(first)}/16"]
    with listening(one, 80, b"one"):
        assert ask(address_of(first), 80) == b"one"
        assert ask_from(two, address_of(first), 80) == b"one"
    assert address_of(first) != address_of(second)
    end(host, one)
    assert two.inside("ip", "route").startswith("default via ")
    end(host, two)
    assert settled_links({"lo", "carob0"}) == {"lo", "carob0"}
    assert host.collect().removed == ["default"]
    assert links() == {"lo"}
    assert "carob" not in rules().lower()


def test_a_published_port_is_reached_from_everywhere_and_nothing_is_left_of_it(host: Host) -> None:
    run("iptables", "--policy", "FORWARD", "DROP")
    with outside(host) as peer:
        pod, other = host.pod(), host.pod()
        host.attach(pod, ports=("8080:80", "127.0.0.1:8081:80"))
        host.attach(other)
        with listening(pod, 80, b"hello"):
            assert ask("127.0.0.1", 8080) == b"hello"
            assert ask("192.0.2.1", 8080) == b"hello"
            assert ask_from(peer, "192.0.2.1", 8080) == b"hello"
            assert ask_from(other, "192.0.2.1", 8080) == b"hello"
            assert ask_from(pod, "192.0.2.1", 8080) == b"hello", "a pod reaches itself by the host's port"
            assert ask("127.0.0.1", 8081) == b"hello"
            assert ask_from(peer, "192.0.2.1", 8081, timeout_s=1) == b"", "published on the loopback alone"
        pod.die()
        assert host.detach(pod) == {}
        assert pod.uuid not in rules()
        with pytest.raises(OSError, match=r"refused|timed out"):
            ask("127.0.0.1", 8080, timeout_s=1)


def test_pods_reach_the_world_behind_the_hosts_address(host: Host) -> None:
    run("iptables", "--policy", "FORWARD", "DROP")
    with outside(host) as peer:
        pod = host.pod()
        host.attach(pod)
        with listening(peer, 99, b"world"):
            assert ask_from(pod, "192.0.2.2", 99) == b"world"


def test_the_restricted_network_reaches_the_host_and_nothing_else(host: Host) -> None:
    with outside(host) as peer:
        pod, other, neighbour = host.pod(), host.pod(), host.pod()
        attached = host.attach(pod, "default-restricted")
        host.attach(other)
        fellow = host.attach(neighbour, "default-restricted")
        gateway = attached.networks[0][1].pod_addresses()[0].gateway
        pod.inside("ip", "route", "add", "default", "via", gateway)  # even if it finds a way
        with (
            listening(peer, 99, b"world"),
            listening(other, 99, b"other"),
            listening(neighbour, 99, b"fellow"),
            socket.create_server((gateway, 99)) as server,
        ):
            assert ask_from(pod, "192.0.2.2", 99, timeout_s=1) == b""
            assert ask_from(pod, other.addresses()[0].split("/")[0], 99, timeout_s=1) == b""
            assert ask_from(other, address_of(attached), 99, timeout_s=1) == b""
            assert ask_from(pod, address_of(fellow), 99) == b"fellow"
            answer = threading.Thread(target=answer_once, args=(server, b"host"))
            answer.start()
            assert ask_from(pod, gateway, 99) == b"host"
            answer.join()


def test_a_pod_does_not_reach_what_listens_on_the_hosts_loopback(host: Host) -> None:
    pod = host.pod()
    attached = host.attach(pod, ports=("127.0.0.1:8080:80",))  # opens the bridge to 127.0.0.0/8
    gateway = attached.networks[0][1].pod_addresses()[0].gateway
    pod.inside("sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet")
    for command in (
        "address del 127.0.0.1/8 dev lo",
        f"route add 127.0.0.0/8 via {gateway} src {address_of(attached)}",
    ):
        pod.inside("ip", *command.split())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(1)
        assert ask_from(pod, "127.0.0.1", server.getsockname()[1], timeout_s=1) == b""
        with pytest.raises(TimeoutError):
            server.accept()


def test_an_address_and_a_hardware_address_may_be_asked_for(host: Host) -> None:
    first = host.pod()
    subnet = address_of(host.attach(first)).rsplit(".", 2)[0]
    pod = host.pod()
    host.attach(pod, f"default:IP={subnet}.7.9;MAC=02:00:00:00:00:77")
    assert pod.addresses() == [f"{subnet}.7.9/16"]
    assert "02:00:00:00:00:77" in pod.inside("ip", "link", "show", "eth0")
    third = host.pod()
    with pytest.raises(CarobError) as caught:
        host.attach(third, f"default:IP={subnet}.7.9")
    assert "not available" in caught.value.message
    assert third.uuid not in host.known()
    assert host.leases_of(third) == []
    end(host, pod)


def test_cni_args_reach_plugins_that_have_no_capability_for_them(host: Host) -> None:
    standard(host)
    pod = host.pod()
    host.attach(pod, "plain:IP=10.201.0.77;MAC=02:00:00:00:00:78")
    assert pod.addresses() == ["10.201.0.77/24"]
    assert "02:00:00:00:00:78" in pod.inside("ip", "link", "show", "eth0")


def test_plugins_of_the_package_alone_leave_nothing_without_a_namespace(host: Host) -> None:
    standard(host)
    before = rules()
    pod, other = host.pod(), host.pod()
    host.attach(pod, "plain", ports=("8080:80",))
    host.attach(other, "plain", ports=("8081:80",))
    with listening(pod, 80, b"hello"), listening(other, 80, b"other"):
        assert ask("127.0.0.1", 8080) == b"hello"
        assert check(pod.fd, host.places, namespace=pod.namespace) == {}
        end(host, pod)
        assert ask("127.0.0.1", 8081) == b"other", "the other pod's rules are there still"
    end(host, other)
    owned = ("CNI-HOSTPORT", "CNI-FORWARD", "CNI-ADMIN")  # chains that all pods share
    left = [
        line for line in rules().splitlines() if "CNI-" in line and not any(word in line for word in owned)
    ]
    assert left == []
    assert "10.201.0." not in rules()
    assert "CNI-" not in before


def test_a_single_old_plugin_with_a_port_that_carob_publishes(host: Host) -> None:
    run("iptables", "--policy", "FORWARD", "DROP")
    document = {"name": "old", "type": "ptp", "ipMasq": True, "ipam": ipam(host, "10.202.0.0/24")}
    host.configure_file("99-old.conf", {"cniVersion": "0.1.0", **document})
    with outside(host) as peer:
        pod = host.pod()
        attached = host.attach(pod, "old", ports=("8080:80", "8080:80/udp"))
        assert attached.networks[0][0].types() == ("ptp", NAT)
        with listening(pod, 80, b"hello"):
            assert ask_from(peer, "192.0.2.1", 8080) == b"hello"
            assert ask("192.0.2.1", 8080) == b"hello"
        end(host, pod)
        assert "10.202.0." not in rules()
        assert settled_links({"lo", "up0"}) == {"lo", "up0"}


def test_several_networks_at_once(host: Host) -> None:
    standard(host, "blue", "10.203.0.0/24")
    plugin = {"type": "bridge", "bridge": "br-green", "ipam": {**ipam(host, "10.204.0.0/24"), "routes": []}}
    host.configure("green", plugin)
    pod = host.pod()
    attached = host.attach(pod, "default-restricted,blue,green", ports=("8080:80",))
    assert [attachment.interface for attachment, _, _ in attached.networks] == ["eth0", "eth1", "eth2"]
    assert [len(mappings) for _, _, mappings in attached.networks] == [1, 0, 0]
    found = netinfo.parse((pod.path / "net-info.json").read_bytes())
    assert [(one.net_name, f"{one.ip}") for one in found] == [
        ("default-restricted", address_of(attached)),
        ("blue", "10.203.0.2"),
        ("green", "10.204.0.2"),
    ]
    assert len(pod.addresses()) == 3
    assert check(pod.fd, host.places, namespace=pod.namespace) == {}
    end(host, pod)
    assert settled_links({"lo", "carob1", "br-blue", "br-green"}) == {"lo", "carob1", "br-blue", "br-green"}


def test_check_notices_what_is_missing(host: Host) -> None:
    standard(host)
    pod = host.pod()
    host.attach(pod, "default,plain", ports=("8080:80",))
    assert check(pod.fd, host.places, namespace=pod.namespace) == {}
    run("iptables", "--table", "nat", "--flush", "CAROB-PORTS")
    pod.inside("ip", "link", "del", "eth1")
    found = check(pod.fd, host.places, namespace=pod.namespace)
    assert sorted(found) == ["eth0", "eth1"]
    assert "CAROB-PORTS" in found["eth0"].message
    assert "plugin bridge (CHECK)" in found["eth1"].message
    host.detach(pod, namespace=pod.namespace)
    assert check(pod.fd, host.places, namespace=pod.namespace) == {}


def test_rules_that_somebody_flushed_come_back_with_the_next_pod(host: Host) -> None:
    with outside(host) as peer:
        host.attach(host.pod())
        for table in ("nat", "filter"):
            run("iptables", "--table", table, "--flush")
        pod = host.pod()
        host.attach(pod, ports=("8080:80",))
        with listening(peer, 99, b"world"), listening(pod, 80, b"hello"):
            assert ask_from(pod, "192.0.2.2", 99) == b"world"
            assert ask_from(peer, "192.0.2.1", 8080) == b"hello"


def test_two_pods_cannot_publish_the_same_port(host: Host) -> None:
    one, two, three = host.pod(), host.pod(), host.pod()
    host.attach(one, ports=("8080:80",))
    with pytest.raises(Conflict):
        host.attach(two, ports=("8080:80",))
    assert two.uuid not in rules()
    assert host.leases_of(two) == []
    host.attach(two, ports=("8080:80/udp",))
    host.release_ports(one)
    end(host, one)
    host.attach(three, ports=("8080:80",))
    with listening(three, 80, b"three"):
        assert ask("127.0.0.1", 8080) == b"three"


def test_senders_of_datagrams_who_never_pause_reach_the_pod_that_came_later(host: Host) -> None:
    with outside(host) as peer:
        first = host.pod()
        host.attach(first, ports=("5353:53/udp",))
        receiver = first.inside_socket(socket.SOCK_DGRAM)
        receiver.bind(("0.0.0.0", 53))
        receiver.settimeout(3)
        sender = peer.inside_socket(socket.SOCK_DGRAM)
        sender.sendto(b"first", ("192.0.2.1", 5353))
        assert receiver.recv(100) == b"first"
        receiver.close()
        host.release_ports(first)
        end(host, first)
        sender.sendto(b"nobody", ("192.0.2.1", 5353))
        second = host.pod()
        host.attach(second, ports=("5353:53/udp",))
        receiver = second.inside_socket(socket.SOCK_DGRAM)
        receiver.bind(("0.0.0.0", 53))
        receiver.settimeout(3)
        sender.sendto(b"second", ("192.0.2.1", 5353))
        assert receiver.recv(100) == b"second"
        receiver.close()
        sender.close()


def test_a_network_with_no_address_left_says_so_and_gc_finds_some(host: Host) -> None:
    host.configure("tiny", {"type": "bridge", "bridge": "br-tiny", "ipam": ipam(host, "10.205.0.0/30")})
    pod, other = host.pod(), host.pod()
    host.attach(pod, "tiny")
    with pytest.raises(OutOfResources) as caught:
        host.attach(other, "tiny")
    assert "carob gc" in caught.value.hint
    end(host, pod)
    host.attach(other, "tiny")


def test_a_subnet_is_chosen_that_the_host_has_no_use_for(host: Host) -> None:
    run("ip", "link", "add", "vpn0", "type", "bridge")
    run("ip", "link", "set", "vpn0", "mtu", "1400", "up")
    run("ip", "address", "add", "10.78.3.1/24", "dev", "vpn0")
    run("ip", "route", "add", "10.79.0.0/16", "dev", "vpn0", "table", "77")
    run("ip", "route", "add", "default", "dev", "vpn0")
    run("ip", "route", "add", "0.0.0.0/1", "dev", "vpn0")
    host.configure(
        "other", {"type": "bridge", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.80.0.0/20"}]]}}
    )
    pod = host.pod()
    attached = host.attach(pod)
    assert address_of(attached).startswith("10.81.")
    assert " mtu 1400 " in pod.inside("ip", "link", "show", "eth0")
    end(host, pod)
    settled_links({"lo", "vpn0", "carob0"})
    assert host.collect().removed == ["default"]
    assert host.collect().removed == []
    run("ip", "route", "add", "10.81.0.0/16", "dev", "vpn0")
    assert address_of(host.attach(host.pod())).startswith("10.82."), (
        "the choice is made anew once the bridge is gone"
    )


def test_where_all_private_networks_lead_elsewhere_one_is_taken_all_the_same(host: Host) -> None:
    run("ip", "link", "add", "vpn0", "type", "bridge")
    run("ip", "link", "set", "vpn0", "up")
    for wide in ("10.0.0.0/8", "172.16.0.0/12"):
        run("ip", "route", "add", wide, "dev", "vpn0")
    run("ip", "route", "add", "192.168.0.0/16", "dev", "vpn0")
    assert address_of(host.attach(host.pod())).startswith("10.78.")


def test_a_bridge_that_is_there_keeps_its_subnet_when_the_state_is_lost(host: Host) -> None:
    first = address_of(host.attach(host.pod()))
    os.unlink(f"{host.places.state}/subnets.json")
    run("ip", "route", "add", "10.79.0.0/16", "dev", "carob0")
    second = address_of(host.attach(host.pod()))
    assert first.rsplit(".", 2)[0] == second.rsplit(".", 2)[0]


def test_a_namespace_that_somebody_holds_keeps_no_interface_on_the_host(host: Host) -> None:
    pod = host.pod()
    host.attach(pod)
    with open(pod.namespace):
        pod.die()
        assert host.detach(pod) == {}
        assert len(links()) == 3
        (pod.path / "carob/network/eth0.released").unlink()
        assert host.detach(pod, thorough=True) == {}
        assert links() == {"lo", "carob0"}


def test_an_empty_file_that_a_killed_host_local_left_is_an_address_again(host: Host) -> None:
    host.configure("tiny", {"type": "bridge", "bridge": "br-tiny", "ipam": ipam(host, "10.205.0.0/30")})
    directory = host.directory / "leases" / "tiny"
    directory.mkdir(parents=True)
    (directory / "10.205.0.2").touch()
    pod = host.pod()
    with pytest.raises(OutOfResources):
        host.attach(pod, "tiny")
    host.attach(pod, "tiny")


def test_a_plan_made_before_a_reboot_is_detached_after_it(host: Host) -> None:
    """Another boot: no process, interface, rule or state in memory; the pod and its lease are on disk."""
    standard(host)
    pod = host.pod()
    host.attach(pod, "plain", ports=("8080:80",))
    assert host.leases_of(pod) == ["10.201.0.2"]
    with Host.of_its_own(host.directory / "next-boot") as after:
        after.places = host.places
        host.forget_state()
        pod.die()
        assert after.detach(pod) == {}
        assert links() == {"lo"}
        assert after.known() == []
    assert not list((host.directory / "leases/plain").glob("10.*"))


def test_a_failing_plugin_in_the_middle_leaves_the_host_as_it_was(host: Host) -> None:
    bad = host.directory / "bad"
    bad.mkdir()
    (bad / "bad").write_text('#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\necho \'{"msg": "no"}\'\nexit 1\n')
    (bad / "bad").chmod(0o755)
    host.places.plugins = (*host.places.plugins, str(bad))
    plugins = [{**STANDARD[0], "ipam": ipam(host, "10.201.0.0/24")}, *STANDARD[1:], {"type": "bad"}]
    host.configure("plain", *plugins)
    pod = host.pod()
    with pytest.raises(CommandFailed) as caught:
        host.attach(pod, "default-restricted,plain", ports=("8080:80",))
    assert caught.value.hint == ""
    assert pod.uuid not in rules()
    assert "10.201.0." not in rules()
    assert host.leases_of(pod) == []
    assert host.known() == []
    assert pod.inside("ip", "-o", "link").count("\n") == 1
    assert settled_links({"lo", "carob1", "br0"}) == {"lo", "carob1", "br0"}


def test_ipv6_networks_have_nat_and_ports_too(host: Host) -> None:
    subnet = "fd12:3456::/64"
    address = {"type": "host-local", "ranges": [[{"subnet": subnet}]], "routes": [{"dst": "::/0"}]}
    host.configure(
        "six",
        {
            "type": "bridge",
            "bridge": "br6",
            "isGateway": True,
            "ipam": {**address, "dataDir": str(host.directory / "l")},
        },
        {
            "type": NAT,
            "interface": "br6",
            "subnets": [subnet],
            "ipMasq": True,
            "capabilities": {"portMappings": True},
        },
    )
    run("ip6tables", "--policy", "FORWARD", "DROP")
    with outside(host) as peer:
        run("ip", "address", "add", "2001:db8::1/64", "dev", "up0", "nodad")
        peer.inside("ip", "address", "add", "2001:db8::2/64", "dev", "down0", "nodad")
        pod = host.pod()
        attached = host.attach(pod, "six", ports=("[2001:db8::1]:8080:80",))
        assert address_of(attached).startswith("fd12:3456::")
        with listening(peer, 99, b"world", "::"), listening(pod, 80, b"hello", "::"):
            assert ask_from(pod, "2001:db8::2", 99) == b"world"
            assert ask_from(peer, "2001:db8::1", 8080) == b"hello"
        end(host, pod)


def test_a_host_with_very_many_rules(host: Host) -> None:
    noted = '-m comment --comment "somebody else has his reasons"'
    lines = [f"-A INPUT -s 198.51.{n >> 8}.{n & 255}/32 {noted} -j DROP" for n in range(20000)]
    text = "\n".join(["*filter", *lines, "COMMIT", ""])
    subprocess.run(["iptables-restore", "--noflush"], input=text, text=True, check=True)
    assert len(rules()) > 1 << 20
    pod = host.pod()
    host.attach(pod, ports=("8080:80",))
    with listening(pod, 80, b"hello"):
        assert ask("127.0.0.1", 8080) == b"hello"
    end(host, pod)


def test_a_port_with_old_connections_is_free_and_one_that_is_served_is_not(host: Host) -> None:
    server = socket.create_server(("0.0.0.0", 8080))
    client = socket.create_connection(("127.0.0.1", 8080))
    connection, _ = server.accept()
    pod = host.pod()
    with pytest.raises(Conflict):
        host.attach(pod, ports=("8080:80",))
    for one in (connection, client, server):  # the server's side closes first, and remembers
        one.close()
    host.attach(pod, ports=("8080:80",))
    with listening(pod, 80, b"hello"):
        assert ask("127.0.0.1", 8080) == b"hello"


def test_nobody_is_let_in_before_the_pod_is_there(host: Host) -> None:
    pod = host.pod()
    attached = host.attach(pod, ports=("8080:80",))
    host.detach(pod)
    assert len(attached.ports.sockets) == 1
    with pytest.raises(ConnectionRefusedError):
        ask("127.0.0.1", 8080, timeout_s=1)


def test_the_written_down_forms_are_documents(host: Host) -> None:
    pod = host.pod()
    host.attach(pod, ports=("8080:80",))
    directory = pod.path / "carob/network"
    assert sorted(path.name for path in directory.iterdir()) == ["eth0.json", "plan.json"]
    assert all(json.loads(path.read_text())["version"] == 1 for path in directory.iterdir())
    assert leases(host.places) != []
