"""Networks by the command, on a host of the test's own."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.cli.entry import _likely_network
from tests.cli.conftest import Command, eventually
from tests.root.own_host import known, own_host
from tests.unit.network.laboratory import rules, run

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def host() -> Iterator[None]:
    with own_host():
        yield


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            return bool(connection.recv(10))
    except ConnectionRefusedError:
        return False


def test_a_published_port_from_run_to_gc(host: None, carob: Command) -> None:
    serve = ["--", "sh", "-c", "while :; do echo hi | busybox nc -l -p 5000; done"]
    uuid = carob.detached(
        "-p", "127.0.0.1::5000", "--add-host", "db:192.0.2.7", "--dns=192.0.2.9", "busybox", *serve
    )
    (network,) = carob.json("status", uuid)["networks"]
    address = network["addresses"][0].partition("/")[0]
    (port,) = network["ports"]
    eventually(lambda: _answers(int(port.split(":")[1])))
    lines = carob.ok("status", uuid).splitlines()
    assert f"networks=default:ip4={address}" in lines
    assert f"ports={port}" in lines
    legend, row = carob.ok("list").splitlines()
    assert row[legend.index("NETWORKS") :] == f"default:ip4={address}"
    assert carob.json("list", "--full")[0]["networks"] == [network]
    inside = carob.ok("enter", uuid, "cat", "/etc/hosts", "/etc/resolv.conf").splitlines()
    assert {"192.0.2.7 db", f"{address} carob-{uuid}", "nameserver 192.0.2.9"} <= set(inside)
    assert carob.ok("network", "check", uuid) == ""
    run("iptables", "-t", "nat", "-F", "CAROB-PORTS")
    broken = carob("network", "check", uuid)
    assert (broken.returncode, broken.stdout[:6]) == (125, "eth0: ")
    assert "missing" in broken.stdout
    carob.ok("stop", uuid)
    assert (known(), uuid in rules()) == ([], False)
    carob.ok("rm", uuid)
    carob.ok("gc")
    assert "carob" not in rules()


def test_what_cannot_be_is_said_before_anything_is_made(host: None, carob: Command) -> None:
    for words, said in (
        (["--net=nowhere"], "there is no network 'nowhere'"),
        (["--net=none", "-p", "80:80"], "ports cannot be published"),
        (["--net=default:IP=x"], "'x' is no IP address"),
        (["-p", "80:80:80:80"], "no port mapping"),
        (["--port=web:80"], "no app of the pod has a port 'web'"),
        (["--hosts-entry=x"], "no entry of hosts"),
    ):
        result = carob("run", *words, "busybox", "--", "true")
        assert result.returncode != 0
        assert said in result.stderr
    assert carob.ok("list", "--no-legend") == ""


def test_list_tells_of_networks_and_of_files_that_are_none(
    host: None, carob: Command, tmp_path: Path
) -> None:
    directory = tmp_path / "config/carob/net.d"
    directory.mkdir(parents=True)
    plugin = {"type": "bridge", "bridge": "web0"}
    document = {"cniVersion": "1.0.0", "name": "web", "plugins": [plugin, {"type": "firewall"}]}
    (directory / "10-web.conflist").write_text(json.dumps(document))
    (directory / "20-none.conflist").write_text("{")
    shown = carob("network", "list", env={"XDG_CONFIG_HOME": str(tmp_path / "config")})
    legend, *rows = shown.stdout.splitlines()
    assert legend.split() == ["NAME", "PLUGINS", "CONFIGURED", "IN"]
    assert rows[0].split() == ["web", "bridge,firewall", str(directory / "10-web.conflist")]
    assert [row.split()[0] for row in rows[1:]] == ["default", "default-restricted"]
    assert "20-none.conflist" in shown.stderr
    again = carob("network", "list", "--format=json", env={"XDG_CONFIG_HOME": str(tmp_path / "config")})
    assert json.loads(again.stdout)[0]["documents"][0] == plugin


def test_the_networks_of_pods_that_ask_for_none_can_be_set(host: None, carob: Command) -> None:
    for variable, network in (("default", "default:ip4="), ("none", "")):
        run = carob("run", "-d", "busybox", "--", "sleep", "60", env={"CAROB_NETWORK": variable})
        assert ("networks=" in carob.ok("status", run.stdout.strip())) == bool(network)
        carob.ok("rm", "--force", run.stdout.strip())


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("run busybox", "none"),
        ("run --net=none busybox", "none"),
        ("run --net host busybox", "host"),
        ("run --net=default,web busybox", "cni"),
        ("run -p 80:80 busybox", "cni"),
        ("run --publish=80:80 busybox", "cni"),
        ("run busybox -- sh -p", "none"),
    ],
)
def test_the_supervisor_that_is_started_ahead_is_of_the_kind_that_is_asked_for(line: str, kind: str) -> None:
    assert _likely_network(line.split()) == kind


def test_a_pod_manifest_takes_the_networks_that_are_given_beside_it(
    host: None, carob: Command, tmp_path: Path
) -> None:
    uuid = carob.ok("prepare", "busybox", "--", "sleep", "60").strip()
    (tmp_path / "pod").write_text(carob.ok("cat-manifest", uuid))
    manifest = json.loads((tmp_path / "pod").read_text())
    noted = {one["name"]: one["value"] for one in manifest["annotations"]}
    assert noted["carob/network"] == "none"
    manifest["annotations"] = []
    (tmp_path / "pod").write_text(json.dumps(manifest))
    made = carob.ok("run", "-d", "-p", "127.0.0.1::80", f"--pod-manifest={tmp_path}/pod").strip()
    assert carob.json("status", made)["networks"][0]["name"] == "default"
    again = carob.ok("prepare", f"--pod-manifest={tmp_path}/pod", "--net=default:MAC=02:00:00:00:00:07")
    manifest = json.loads(carob.ok("cat-manifest", again.strip()))
    assert {"name": "carob/network", "value": "default:MAC=02:00:00:00:00:07"} in manifest["annotations"]
    carob.ok("rm", "--force", made, uuid, again.strip())
