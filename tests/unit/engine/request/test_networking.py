"""What a pod asks of networks: what stands for what, and the files that come of it."""

from __future__ import annotations

import pytest

from carob.engine.appc.ports import exposed_ports
from carob.engine.prepare.files import contents, volumes
from carob.engine.request.pod import App, PodRequest
from carob.protocol.pod_network import HOSTNAME, HOSTS, RESOLV_CONF


def request(**options: object) -> PodRequest:
    return PodRequest([App("image")], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "network", "kind"),
    [
        ({}, "none", "none"),
        ({"network": "none"}, "none", "none"),
        ({"network": ()}, "none", "none"),
        ({"network": "host"}, "host", "host"),
        ({"network": ["a", "b:IP=10.1.2.3"]}, "a,b:IP=10.1.2.3", "cni"),
        ({"ports": ["80:80"]}, "default", "cni"),
        ({"ports": ["80:80"], "network": "web"}, "web", "cni"),
        ({"dns": ["192.0.2.1"]}, "none", "none"),
    ],
)
def test_the_network_of_a_pod(options: dict[str, object], network: str, kind: str) -> None:
    made = request(**options)
    assert (made.network, made.network_kind) == (network, kind)


def test_a_pod_that_asks_for_nothing_has_nothing_of_the_kind() -> None:
    assert request().networking is None
    assert request(network="none").networking is None


def test_ports_by_number_and_by_name() -> None:
    made = request(ports=["80:8080/udp", "[::1]:81:81", "http:8082", "web-1:192.0.2.1:8083"]).networking
    assert made is not None
    assert [str(one) for one in made.ports] == ["80:8080/udp", "[::1]:81:81/tcp"]
    named = [(one.name, one.host_ip, one.host_port) for one in made.named_ports]
    assert named == [("http", "", 8082), ("web-1", "192.0.2.1", 8083)]


@pytest.mark.parametrize("entry", ["db:192.0.2.1", "192.0.2.1=db", "db=192.0.2.1"])
def test_hosts_in_the_manners_of_docker_and_rkt(entry: str) -> None:
    made = request(hosts=[entry, "six:2001:db8::1"]).networking
    assert made is not None
    assert made.hosts == (("192.0.2.1", "db"), ("2001:db8::1", "six"))


def test_the_files_of_a_pod() -> None:
    made = request(
        network="default", hosts={"db": "192.0.2.1"}, dns=["192.0.2.53"], dns_search=["example.org"]
    )
    assert made.networking is not None
    localhost = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
    assert contents(made.networking, "me") == {
        HOSTNAME: "me\n",
        HOSTS: localhost + "192.0.2.1 db\n",  # the pod's address is added when it has one
        RESOLV_CONF: "search example.org\nnameserver 192.0.2.53\n",
    }


def test_the_images_own_resolv_conf_is_seen_where_it_is_asked_for_and_where_there_is_no_network() -> None:
    for options in ({"network": "default", "dns": ["none"]}, {"hosts": ["db:192.0.2.1"]}):
        made = request(**options)
        assert made.networking is not None
        assert RESOLV_CONF not in contents(made.networking, "me")


def test_a_pod_without_addresses_of_its_own_knows_its_name() -> None:
    made = request(hosts=["db:192.0.2.1"])
    assert made.networking is not None
    assert contents(made.networking, "me")[HOSTS].endswith("192.0.2.1 db\n127.0.1.1 me\n")


def test_where_apps_see_the_files() -> None:
    found = [(one.source, one.target, one.read_only) for one in volumes([HOSTS, RESOLV_CONF])]
    assert found == [
        ("/pod/carob/etc/hosts", "/etc/hosts", False),
        ("/pod/carob/etc/resolv.conf", "/etc/resolv.conf", False),
    ]


def test_the_ports_that_an_image_names() -> None:
    exposed: dict[str, object] = {"80/tcp": {}, "53/udp": {}, "9000": {}, "x": {}}
    found = exposed_ports({"config": {"ExposedPorts": exposed}})
    assert found == [("80-tcp", 80, 1, "tcp"), ("53-udp", 53, 1, "udp"), ("9000-tcp", 9000, 1, "tcp")]
    assert exposed_ports({}) == []
