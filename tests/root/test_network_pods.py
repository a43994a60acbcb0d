"""Real pods on real networks, of a host of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carob import App, Engine, errors
from carob.engine.handle import PodHandle
from carob.pod import open_pod
from tests.needs import require_command
from tests.root import host_view
from tests.root.own_host import STATE, kill_keepers, known, leased, own_host
from tests.unit.network.laboratory import SYS_SETNS, links, rules, run

WEB = App("busybox", ["sh", "-c", "mkdir -p /www; hostname >/www/index.html; exec httpd -f -h /www"])
SLEEP = App("busybox", ["sleep", "1000"])
RESULT = '{"cniVersion":"0.4.0","interfaces":[],"ips":[]}'


@pytest.fixture(scope="module")
def host() -> Iterator[None]:
    with own_host():
        yield


@pytest.fixture(autouse=True)
def networks(host: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a test configures networks. After it nothing of any pod is left on the host."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("CNI_PATH", str(tmp_path / "plugins"))
    directory = tmp_path / "config/carob/net.d"
    directory.mkdir(parents=True)
    yield directory
    host_view.eventually("no pod's interface is left", lambda: links() <= {"lo", "carob0"})
    assert "pod=" not in rules()
    assert (known(), leased()) == ([], [])


def configure(networks: Path, name: str, *plugins: dict[str, Any]) -> None:
    document = {"cniVersion": "0.4.0", "name": name, "plugins": list(plugins)}
    (networks / f"{name}.conflist").write_text(json.dumps(document))


def made_plugin(networks: Path, name: str, cases: str) -> Path:
    """A plugin that notes who called it and does what a test wants; by itself the network of its name."""
    directory = networks.parents[2] / "plugins"
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(
        f"#!/bin/sh\ncat >/dev/null\necho $CNI_COMMAND >>$0.calls\ncase $CNI_COMMAND in\n{cases}\nesac\n"
    )
    path.chmod(0o755)
    configure(networks, name, {"type": name})
    return path


def get(address: str, port: int) -> bytes:
    """The body of what a web server says."""
    with socket.create_connection((address, port), timeout=3) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        said = b""
        while part := connection.recv(4096):
            said += part
    return said.partition(b"\r\n\r\n")[2].strip()


def got(address: str, port: int) -> bytes:
    """The same, once the server listens: an app that was started may not have come that far."""
    return bytes(host_view.eventually("the server answers", lambda: _try_to_get(address, port)))


def _try_to_get(address: str, port: int) -> bytes:
    try:
        return get(address, port)
    except ConnectionRefusedError:
        return b""


def said(pod: PodHandle, *argv: str) -> str:
    """What a program in the pod writes."""
    return str(pod.exec(list(argv), text=True, check=True).stdout)


def address_of(pod: PodHandle) -> str:
    return pod.status().networks[0].addresses[0].partition("/")[0]


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def test_pods_on_the_default_network_reach_each_other_and_are_reached_from_the_host(engine: Engine) -> None:
    port = free_port()
    with engine.run(
        WEB,
        ports=[f"{port}:80", "127.0.0.1::80"],
        hostname="web",
        hosts={"db": "10.9.9.9"},
        dns=["192.0.2.53"],
    ) as web:
        (network,) = web.status().networks
        address, free = address_of(web), int(network.ports[1].split(":")[1])
        assert (network.name, network.interface) == ("default", "eth0")
        assert network.ports == (f"{port}:80/tcp", f"127.0.0.1:{free}:80/tcp")
        gateway = _gateway(address)
        for host_address, host_port in (
            ("127.0.0.1", port),
            (gateway, port),
            ("127.0.0.1", free),
            (address, 80),
        ):
            assert got(host_address, host_port) == b"web"
        with pytest.raises(OSError, match="refused"):
            get(gateway, free)
        hosts = said(web, "cat", "/etc/hosts").splitlines()
        assert {"127.0.0.1 localhost", "10.9.9.9 db", f"{address} web"} <= set(hosts)
        assert said(web, "cat", "/etc/hostname", "/etc/resolv.conf") == "web\nnameserver 192.0.2.53\n"
        with open_pod(engine.data_dir, web.uuid) as pod:
            (info,) = pod.nets
        assert (info.net_name, info.if_name, str(info.ip), str(info.mask)) == (
            "default", "eth0", address, "255.255.0.0",
        )  # fmt: skip
        (summary,) = engine.summaries(times=True)
        assert summary.networks == (("default", address),)
        with engine.run(SLEEP, network="default") as other:
            assert said(other, "wget", "-qO-", f"http://{address}/") == "web\n"
            with pytest.raises(errors.Conflict, match=f"{port}"):
                engine.run(SLEEP, ports=[f"{port}:80"])
            assert said(other, "wget", "-qO-", f"http://{gateway}:{port}/") == "web\n"
            for name, value in (("ping_group_range", "0 2147483647"), ("ip_unprivileged_port_start", "0")):
                assert " ".join(said(other, "cat", f"/proc/sys/net/ipv4/{name}").split()) == value
        web.stop(grace_s=0)
        assert (web.status().networks, web.status().warnings) == ((), ())
        assert (known(), leased()) == ([], [])
        assert web.uuid not in rules()
    assert engine.gc(grace_s=0).problems == []
    assert "carob" not in rules()
    assert "carob0" not in links()


def test_datagrams_reach_a_pod_by_its_published_port(engine: Engine) -> None:
    port = free_port()
    with engine.run(SLEEP, ports=[f"{port}:5000/udp"]) as pod, _inside(pod, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", 5000))
        server.settimeout(5)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect(("127.0.0.1", port))
            client.send(b"ping")
            word, sender = server.recvfrom(100)
            server.sendto(word.upper(), sender)
            assert client.recv(100) == b"PING"


def _inside(pod: PodHandle, kind: int) -> socket.socket:
    """A socket in the pod's network."""
    from carob.linux.syscall import syscall

    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pod.status().pid}/ns/net", os.O_RDONLY)
    try:
        syscall(SYS_SETNS, there, 0)
        return socket.socket(socket.AF_INET, kind)
    finally:
        syscall(SYS_SETNS, here, 0)
        os.close(there)
        os.close(here)


def test_a_pod_on_several_networks_with_an_address_asked_for(engine: Engine, networks: Path) -> None:
    ipam = {"type": "host-local", "subnet": "10.203.0.0/24", "dataDir": str(networks / "leases")}
    configure(networks, "second", {"type": "bridge", "bridge": "br-second", "ipam": ipam})
    with engine.run(SLEEP, network=["default", "second:IP=10.203.0.77"]) as pod:
        found = [(one.name, one.interface) for one in pod.status().networks]
        assert found == [("default", "eth0"), ("second", "eth1")]
        assert "10.203.0.77/24" in said(pod, "ip", "addr", "show", "dev", "eth1")
        assert (networks / "leases/second/10.203.0.77").exists()
        hosts = said(pod, "cat", "/etc/hosts")
        assert f"10.203.0.77 carob-{pod.uuid}" in hosts
    assert not (networks / "leases/second/10.203.0.77").exists()
    run("ip", "link", "delete", "br-second")


def test_apps_begin_when_the_network_is_there_with_either_runtime(engine: Engine, networks: Path) -> None:
    look = App("busybox", ["sh", "-c", "ip -o -4 addr show dev eth0 | grep -c 10.203.0.5/24"])
    require_command("nsenter")
    make = "ip link add eth0 type bridge; ip addr add 10.203.0.5/24 dev eth0"
    made_plugin(
        networks, "slow", f"ADD) sleep 0.3; nsenter --net=$CNI_NETNS sh -c \"{make}\"; echo '{RESULT}' ;;"
    )
    for runtime in ("crun", "runc"):
        if shutil.which(runtime, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            continue
        apps = [App("busybox", look.args, name=name) for name in ("one", "two")]
        pod = engine.run(*apps, network="slow", runtime=runtime)
        end = pod.wait()
        assert {name: str(one) for name, one in end.apps.items()} == {
            "one": "Exited(code=0)",
            "two": "Exited(code=0)",
        }
        pod.remove()


def test_a_plugin_that_fails_fails_the_start_with_its_words(engine: Engine, networks: Path) -> None:
    words = '{"cniVersion":"0.4.0","code":7,"msg":"the switch is on fire"}'
    plugin = made_plugin(networks, "burning", f"ADD) echo '{words}'; exit 1 ;;")
    with pytest.raises(errors.InvalidInput, match="the switch is on fire") as caught:
        engine.run(SLEEP, network="burning")
    pod = engine.get(caught.value.uuid)
    pod.wait()
    status = pod.status()
    assert status.outcome == "failed to start"
    assert "the switch is on fire" in status.reason
    assert "never started" in str(status.app("busybox").end)
    assert "DEL" in Path(f"{plugin}.calls").read_text().split()
    pod.remove()


def test_a_pod_whose_plugin_hangs_can_be_removed_and_the_plugin_dies(engine: Engine, networks: Path) -> None:
    made_plugin(networks, "stuck", "ADD) echo $$ >$0.pid; exec sleep 1000 ;;")
    with pytest.raises(errors.TimedOut) as caught:
        engine.run(SLEEP, network="stuck", timeout_s=1)
    pid = int((networks.parents[2] / "plugins/stuck.pid").read_text())
    assert host_view.is_alive(pid)
    engine.get(caught.value.uuid).remove(force=True)
    assert not host_view.is_alive(pid)


def test_what_a_plugin_cannot_undo_is_a_debt_that_gc_pays(engine: Engine, networks: Path) -> None:
    plugin = made_plugin(networks, "owing", f"ADD) echo '{RESULT}' ;;\nDEL) [ ! -e $0.broken ] || exit 1 ;;")
    Path(f"{plugin}.broken").touch()
    pod = engine.run(App("busybox", ["true"]), network="owing")
    pod.wait()
    (warning,) = pod.status().warnings
    assert "eth0 is not detached yet" in warning
    assert any("eth0" in problem for problem in engine.gc(grace_s=0).problems)
    with pytest.raises(errors.Unavailable, match="not detached"):
        pod.remove()
    Path(f"{plugin}.broken").unlink()
    collection = engine.gc(grace_s=0)
    assert (collection.deleted, collection.problems) == ([pod.uuid], [])


def test_removal_by_force_owes_nothing(engine: Engine, networks: Path) -> None:
    made_plugin(networks, "never", f"ADD) echo '{RESULT}' ;;\nDEL) exit 1 ;;")
    pod = engine.run(App("busybox", ["true"]), network="never")
    pod.wait()
    pod.remove(force=True)
    assert engine.list() == []


def test_gc_detaches_pods_whose_keepers_were_killed_long_before_it_deletes_them(engine: Engine) -> None:
    port = free_port()
    pod = engine.run(WEB, ports=[f"{port}:80"], hostname="web")
    assert (len(leased()), pod.uuid in rules(), known()) == (1, True, [pod.uuid])
    address = address_of(pod)
    assert [got(one, port) for one in ("127.0.0.1", _gateway(address))] == [b"web"] * 2
    namespace = host_view.namespace(int(pod.status().pid or 0), "net")
    kill_keepers(engine.data_dir, pod.uuid)
    collection = engine.gc()
    assert (collection.marked, collection.deleted, collection.problems) == ([pod.uuid], [], [])
    assert (known(), leased(), pod.uuid in rules()) == ([], [], False)
    assert namespace not in {host_view.namespace(pid, "net") for pid in host_view.pids()}
    assert links() <= {"lo", "carob0"}
    _is_free(port)
    pod.remove()


def test_gc_after_a_reboot_gives_back_what_outlived_it(engine: Engine, networks: Path) -> None:
    ipam = {"type": "host-local", "subnet": "10.204.0.0/24", "dataDir": str(networks / "leases")}
    configure(networks, "lasting", {"type": "bridge", "bridge": "br-lasting", "ipam": ipam})
    port = free_port()
    pod = engine.run(WEB, network="default,lasting", ports=[f"{port}:80"], hostname="web")
    assert got("127.0.0.1", port) == b"web"
    kill_keepers(engine.data_dir, pod.uuid)
    _reboot(engine.data_dir, pod.uuid)
    assert list((networks / "leases/lasting").glob("10.*"))
    collection = engine.gc(grace_s=0)
    assert (collection.deleted, collection.problems) == ([pod.uuid], [])
    assert not list((networks / "leases/lasting").glob("10.*"))
    assert links() <= {"lo", "carob0"}
    _is_free(port)
    with engine.run(WEB, ports=[f"{port}:80"], hostname="again"):
        assert got("127.0.0.1", port) == b"again"


def _gateway(address: str) -> str:
    return address.rpartition(".")[0] + ".1"


def _is_free(port: int) -> None:
    """Nobody answers there, and who wants it gets it."""
    with pytest.raises(OSError, match="refused"):
        get("127.0.0.1", port)
    with socket.socket() as made:
        made.bind(("0.0.0.0", port))


def _reboot(data_dir: str, uuid: str) -> None:
    """What a reboot does to the host and, by another boot id, to what the pod's files say."""
    identity = host_view.pod_directory(data_dir, uuid) / "carob/supervisor.json"
    document = json.loads(identity.read_text())
    identity.write_text(json.dumps({**document, "boot_id": "00000000-0000-0000-0000-000000000000"}))
    for family in ("iptables", "ip6tables"):
        for table in ("nat", "filter"):
            run(family, "-t", table, "-F")
            run(family, "-t", table, "-X")
    for link in links() - {"lo"}:
        if not link.startswith("veth"):
            run("ip", "link", "delete", link)
    shutil.rmtree(STATE)


def test_a_monitor_that_dies_while_plugins_are_at_work_ends_the_pod(engine: Engine, networks: Path) -> None:
    made_plugin(networks, "slow", f"ADD) sleep 1; echo '{RESULT}' ;;")
    pod = engine.prepare(App("busybox", ["touch", "/began"]), network="slow")
    with pytest.raises(errors.TimedOut):
        pod.run(timeout_s=0.3)
    monitor = host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "monitor")
    os.kill(monitor, signal.SIGKILL)
    end = pod.wait(timeout_s=10)
    assert end.outcome == "failed to start"
    assert "monitor" in end.reason
    pod.remove()
    assert known() == []


def test_files_of_pods_without_networks(engine: Engine) -> None:
    show = ["sh", "-c", "cat /etc/hosts; echo; cat /etc/resolv.conf"]
    pod = engine.run(App("busybox", show), network="host", hosts=["db:192.0.2.1"], hostname="here")
    pod.wait()
    text = host_view.read(host_view.pod_directory(engine.data_dir, pod.uuid) / "carob/logs/busybox.log")
    assert "F 192.0.2.1 db" in text
    assert "F 127.0.1.1 here" in text
    for line in Path("/etc/resolv.conf").read_text().splitlines():
        assert f"F {line}" in text
    pod.remove()
    pod = engine.run(SLEEP, dns_search=["example.org"])
    try:
        assert pod.status().networks == ()
        assert said(pod, "cat", "/etc/resolv.conf") == "search example.org\n"
    finally:
        pod.remove(force=True)


def test_a_supervisor_that_stands_by_is_for_pods_of_its_kind_of_network(engine: Engine) -> None:
    with Engine(engine.data_dir, standby=1) as standing:
        for network in ("none", "default", "default", "none", "host"):
            with standing.run(SLEEP, network=network) as pod:
                assert bool(pod.status().networks) == (network == "default")
                host_s = host_view.namespace(os.getpid(), "net")
                theirs = host_view.namespace(int(pod.status().pid or 0), "net")
                assert (theirs == host_s) == (network == "host")


def test_ports_that_an_aci_names(engine: Engine, rootfs: Path, tmp_path: Path) -> None:
    manifest = {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": "example.org/web",
        "app": {
            "exec": list(WEB.args),
            "user": "0",
            "group": "0",
            "ports": [{"name": "www", "protocol": "tcp", "port": 80, "count": 2}],
        },
    }
    (tmp_path / "manifest").write_text(json.dumps(manifest))
    with tarfile.open(tmp_path / "web.aci", "w") as archive:
        archive.add(tmp_path / "manifest", "manifest")
        archive.add(rootfs, "rootfs")
    image = engine.images.fetch(f"aci:{tmp_path}/web.aci", insecure="image")
    first = free_port()
    with engine.run(App(image.image_id), ports=[f"www:127.0.0.1:{first}"]) as pod:
        (network,) = pod.status().networks
        assert network.ports == (f"127.0.0.1:{first}:80/tcp", f"127.0.0.1:{first + 1}:81/tcp")
        assert got("127.0.0.1", first) == f"carob-{pod.uuid}".encode()


def test_words_that_cannot_be(engine: Engine) -> None:
    for options, words in (
        ({"network": "nothing-of-the-kind"}, "there is no network"),
        ({"network": "none", "ports": ["80:80"]}, "cannot be published"),
        ({"network": "host,default"}, "goes with no other"),
        ({"ports": ["x"]}, "no named port"),
        ({"ports": ["http:8080"]}, "no app of the pod has a port"),
        ({"dns": ["nobody"]}, "no address of a name server"),
        ({"hosts": ["a b:192.0.2.1"]}, "no name of a host"),
        ({"ports": ["80:80", "80:81"]}, "want the same port"),
        ({"ports": "80:80"}, "sequence of words"),
    ):
        with pytest.raises(errors.CarobError, match=words):
            engine.run(SLEEP, **options)
    assert engine.list() == []


def test_missing_plugins_are_told_with_the_package_that_has_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carob.network.places.PLUGIN_DIRECTORIES", ())
    with pytest.raises(errors.Unsupported, match="plugin") as caught:
        engine.run(SLEEP, network="default")
    assert "containernetworking-plugins" in caught.value.hint


def test_published_ports_are_the_pods_for_as_long_as_it_lives(engine: Engine) -> None:
    ports = [free_port() for _ in range(10)]  # more than one message has room for
    published = [f"127.0.0.1:{port}:80" for port in ports]
    pod = engine.run(WEB, ports=published, hostname="web")
    os.kill(host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "monitor"), signal.SIGKILL)
    host_view.wait_gone(host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "monitor"))
    for port in (ports[0], ports[-1]):
        assert got("127.0.0.1", port) == b"web"
        with pytest.raises(errors.Conflict, match=str(port)):
            engine.run(SLEEP, ports=[f"127.0.0.1:{port}:80"])
    pod.remove(force=True)
    with engine.run(WEB, ports=published, hostname="web") as again:
        assert got("127.0.0.1", ports[0]) == b"web"
        assert again.status().warnings == ()
