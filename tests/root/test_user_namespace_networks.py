"""Pods with users of their own on networks of their own, on a host of the test's own."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from carob import App, Engine
from tests.needs import require_command
from tests.root import host_view
from tests.root.own_host import kill_keepers, known, leased, own_host
from tests.unit.network.laboratory import links, rules

SCRIPT = "mkdir -p /www; hostname >/www/index.html; exec httpd -f -h /www"


@pytest.fixture(scope="module", autouse=True)
def host() -> Iterator[None]:
    with own_host():
        yield


def got(port: int) -> str:
    """What the web server of the pod says to the host."""

    def ask() -> str:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return connection.makefile().read().rpartition("\n\n")[2].strip()
        except ConnectionRefusedError:
            return ""

    return str(host_view.eventually("the server answers", ask))


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_it_is_reached_by_its_port_and_nothing_is_left_of_it(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    app = App("busybox", ["sh", "-c", SCRIPT])
    pod = engine.run(app, userns="auto", ports=["127.0.0.1::80"], hostname="web", runtime=runtime)
    (network,) = pod.status().networks
    assert got(int(network.ports[0].split(":")[1])) == "web"
    script = (
        "ip -o -4 address show eth0 | wc -l; ls /sys/class/net;"
        " echo 10.0.0.9 db >>/etc/hosts; tail -1 /etc/hosts"
    )
    said = pod.exec(["sh", "-c", script], text=True)
    assert said.stdout.split("\n") == ["1", "eth0", "lo", "10.0.0.9 db", ""], said.stderr
    kill_keepers(engine.data_dir, pod.uuid)
    assert engine.gc(grace_s=0).problems == []
    host_view.nothing_left(engine.data_dir, pod.uuid)
    host_view.eventually("no interface is left", lambda: links() <= {"lo", "carob0"})
    assert (known(), leased()) == ([], [])
    assert "pod=" not in rules()
