"""Ports in pod manifests: what carob writes it reads back, and what others write it understands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from carob.engine.appc import ports
from carob.engine.request.networking import networking
from carob.errors import InvalidInput
from carob.spec.appc import PodManifest

NOTHING: dict[str, Any] = {"dns": (), "dns_search": (), "dns_domain": "", "dns_options": (), "hosts": ()}
IMAGE: dict[str, Any] = {
    "config": {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "0/tcp": {}, "9/TCP": {}, "x": {}, "7": {}}}
}


def manifest(published: list[dict[str, Any]], of_app: list[dict[str, Any]]) -> PodManifest:
    app = {"exec": ["/x"], "user": "0", "group": "0", "ports": of_app}
    entry = {"name": "web", "image": {"id": "sha512-" + "0" * 64, "name": "web"}, "app": app}
    document = {"acVersion": "0.8.11", "acKind": "PodManifest", "apps": [entry], "ports": published}
    return PodManifest.from_json(json.dumps(document).encode())


@pytest.mark.parametrize(
    "asked",
    [
        ["8080:80/tcp"],
        ["127.0.0.1:53:53/udp", "[::1]:8443:443/tcp"],
        ["80/tcp"],
        ["127.0.0.1::80/tcp"],
        ["http:8080"],
        ["http:[::1]:8080", "90:90/sctp"],
    ],
)
def test_what_is_published_is_read_back(asked: list[str]) -> None:
    first = networking(None, ports=asked, **NOTHING)
    again = networking(None, ports=ports.read(manifest(ports.of_pod(first), [])), **NOTHING)
    assert again.ports == first.ports
    assert [vars_of(one) for one in again.named_ports] == [vars_of(one) for one in first.named_ports]


def vars_of(port: Any) -> tuple[str, int, str]:
    return port.name, port.host_port, port.host_ip


def test_what_an_image_exposes_is_said_as_far_as_appc_takes_it() -> None:
    found = manifest([], ports.of_app(IMAGE)).apps[0].app
    assert found is not None
    said = [(str(one.name), one.port, one.protocol, one.count) for one in found.ports]
    assert said == [("80-tcp", 80, "tcp", 1), ("53-udp", 53, "udp", 1), ("7-tcp", 7, "tcp", 1)]
    many: dict[str, Any] = {"config": {"ExposedPorts": {f"{number}/tcp": {} for number in range(1, 60000)}}}
    assert len(ports.of_app(many)) == 256


def test_what_others_write_leads_to_the_ports_of_apps() -> None:
    of_app = [{"name": "http", "port": 80, "protocol": "tcp", "count": 2}]
    published = [
        {"name": "http", "hostPort": 8080},
        {"name": "of-image", "hostPort": 9000, "hostIP": "10.0.0.1"},
        {"name": "x", "hostPort": 53, "podPort": {"name": "dns", "port": 5353, "protocol": "udp"}},
    ]
    assert ports.read(manifest(published, of_app)) == [
        "8080:80/tcp", "8081:81/tcp", "of-image:10.0.0.1:9000", "53:5353/udp",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("published", "words"),
    [
        ({"name": "none", "hostPort": 0}, r"ports\[0\]: no app section has a port 'none'"),
        ({"name": "http", "hostPort": 65535}, r"ports\[0\]: the last port of the host"),
    ],
)
def test_what_leads_nowhere_is_refused_with_its_place(published: dict[str, Any], words: str) -> None:
    of_app = [{"name": "http", "port": 80, "protocol": "tcp", "count": 2}]
    with pytest.raises(InvalidInput, match=words):
        ports.read(manifest([published], of_app))
