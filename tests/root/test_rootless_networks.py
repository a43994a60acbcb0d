"""Networks of plain users' pods, by pasta and slirp4netns: what they reach, what reaches them, their end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.needs import ROOT, require, require_command
from tests.root.host_view import eventually
from tests.root.test_rootless import START, owner, processes
from tests.root.test_rootless import root_tar as root_tar  # noqa: PLC0414 - a fixture
from tests.root.test_unpack_userns import Account
from tests.root.test_unpack_userns import user as user  # noqa: PLC0414 - a fixture

# A host with a way out that leads nowhere, name servers on its loopback alone, and a node for interfaces.
HOST = """
set -e; place=$1; uid=$2; gid=$3; shift 3
mount --bind "$place/ranges" /etc/subuid; mount --bind "$place/ranges" /etc/subgid
mount --bind "$place/resolv.conf" /etc/resolv.conf
mount --bind "$place/tun" /dev/net/tun
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
ip link set lo up
ip link add out type veth peer name other
ip address add 198.51.100.2/24 dev out; ip address add 2001:db8::2/64 dev out nodad
ip link set out up; ip link set other up
ip route add default via 198.51.100.1; ip -6 route add default via 2001:db8::1
exec setpriv --reuid "$uid" --regid "$gid" --clear-groups -- env -C / HOME=/ PATH="$PATH" "$@"
"""

STORY = (
    START
    + """
import faulthandler, signal, socket, threading
faulthandler.dump_traceback_later(60, exit=True)
network, other = sys.argv[4], sys.argv[5]

def answers(server, kind):
    def serve():
        while True:
            if kind == "names":  # every name is 192.0.2.7
                asked, sender = server.recvfrom(512)
                head = asked[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0"
                end = asked.index(b"\\0", 12) + 5
                answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4\\xc0\\0\\2\\7"
                server.sendto(head + asked[12:end] + answer, sender)
            else:
                connection, _ = server.accept()
                connection.sendall(kind.encode() + b"\\n")
                while connection.recv(100):
                    pass
                connection.close()
    threading.Thread(target=serve, daemon=True).start()

def listens(address, port, kind):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_DGRAM if kind == "names" else socket.SOCK_STREAM)
    server.bind((address, port))
    if kind != "names":
        server.listen()
    answers(server, kind)

def reads(host, port):
    with socket.create_connection((host, port), 10) as connection:
        connection.settimeout(10)
        connection.sendall(b"\\n")
        return connection.recv(100).decode()

listens("127.0.0.1", 53, "names")
listens("127.0.0.1", 7001, "loopback")
listens("198.51.100.2", 7002, "outside")

# Answers, and waits for the other to close: an old pasta swallows what comes right before an end.
SERVE = ("for port in 80 81 82; do nc -ll -p $port -e sh -c 'read -r _; echo '$port'; read -r _' & done; "
         "exec sleep 1000")

# Nor does an old pasta tell of every end.
ASK = ("for try in 1 2 3 4 5; do "
       "word=$(echo | timeout 1 nc -w 1 %s %d); test $word && break; done; echo $word")

def serving(network, ports):
    pod = engine.run(sh(SERVE), network=network, ports=ports, name="web")
    while pod.exec(["sh", "-c", "netstat -ln | grep -c :8[012] | grep -q 3"]).returncode:
        time.sleep(0.01)
    return pod

pod = serving(network, ["127.0.0.1:8080:80", "8081-8082:81-82", "127.0.0.1::80", "127.0.0.1:7070:7070/udp"])
(status,) = pod.status().networks
told["status"] = [status.name, status.interface, status.addresses]
told["ports"] = [one.rpartition("/")[0] for one in status.ports]
free = int(status.ports[3].split(":")[1])
told["reached"] = [reads("127.0.0.1", 8080), reads("127.0.0.1", 8081), reads("198.51.100.2", 8082),
                   reads("127.0.0.1", free)]
def inside(script):
    return pod.exec(["sh", "-c", script]).stdout.decode()
told["name"] = inside("nslookup -type=a some.name | tail -n 3")
told["resolv.conf"] = inside("cat /etc/resolv.conf")
told["outside"] = inside(ASK % ("198.51.100.2", 7002))
told["loopback"] = inside("for to in 10.0.2.2 127.0.0.1; do"
                          " echo | timeout 1 nc -w 1 $to 7001 2>/dev/null; done")
told["caps"] = inside("ip link set eth0 down 2>&1; ls /sys/class/net; cat /proc/net/route | wc -l")
told["taken"] = refused(lambda: engine.run(sh("true"), network=network, ports=["127.0.0.1:8080:80"]))
told["check"] = pod.check_networks()
told["other"] = [other, engine.networks()[0].plugins[0]]

with serving(network + ":allow_host_loopback=true", []) as asked:
    told["loopback if asked"] = asked.exec(["sh", "-c", ASK % ("10.0.2.2", 7001)]).stdout.decode()
told["refused"] = [refused(lambda: engine.run(sh("true"), **more)) for more in (
    dict(network="web"), dict(network=network + ":IP=10.1.2.3"), dict(ports=["5000:80/sctp"]))]
pod.stop(grace_s=0)
told["stopped"] = [str(pod.status().state), pod.status().networks]
engine.gc(grace_s=0)

def free_again(port):
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))

told["killed"] = []
for victims in (["init"], ["monitor"], ["init", "monitor"], ["monitor", "init"]):
    pod = serving(network, ["127.0.0.1:8080:80"])
    with open(f"{engine.data_dir}/pods/run/{pod.uuid}/carob/supervisor.json") as file:
        keepers = json.load(file)
    for victim in victims:
        os.kill(keepers[victim]["pid"], signal.SIGKILL)
    if victims == ["monitor"]:
        lives = [reads("127.0.0.1", 8080), str(pod.status().state)]
        os.kill(keepers["init"]["pid"], signal.SIGKILL)
    else:
        lives = []
    pod.wait(timeout_s=30)
    free_again(8080)
    told["killed"].append([lives, len(engine.gc(grace_s=0).deleted), engine.gc(grace_s=0).problems])
print(json.dumps(told))
"""
)

IPV6 = (
    START
    + """
import socket
with engine.run(sh("nc -ll -p 80 -e echo six & exec sleep 1000"), ports=["[::1]:8080:80"]) as pod:
    while pod.exec(["sh", "-c", "netstat -ln | grep -q :80"]).returncode:
        time.sleep(0.01)
    with socket.create_connection(("::1", 8080), 10) as connection:
        connection.settimeout(10)
        told["six"] = connection.recv(100).decode()
    told["network"] = pod.status().networks[0].name
    told["addresses"] = pod.exec(["cat", "/etc/hosts"]).stdout.decode()
told["twice"] = refused(lambda: engine.run(sh("true"), ports=["127.0.0.1:8080:80", "[::1]:8080:80"]))
print(json.dumps(told))
"""
)

WITHOUT = (
    START
    + """
from carob import Device, Security
told["network"] = refused(lambda: engine.run(sh("true"), network="default"))
told["list"] = [one.name for one in engine.networks()]
told["doctor"] = [[one.verdict, one.found, one.mend] for one in engine.doctor()
                  if one.name == "networks without root"]
told["none"] = said(sh("ls /sys/class/net"))
told["device"] = refused(lambda: engine.run(sh("true", security=Security(devices=[Device("/dev/net/tun")]))))
told["privileged"] = said(sh("test -c /dev/null && id -u", security=Security(privileged=True)))
told["left"] = [str(status.state) for status in engine.list() if str(status.state) != "exited"]
print(json.dumps(told))
"""
)


REMOVE_ALL = """
import sys; sys.path[:0] = [sys.argv[1] + "/src"]
from carob import Engine
engine = Engine(sys.argv[2])
for one in engine.list():
    engine.get(one.uuid).remove(force=True)
"""


class Host(Account):
    """The same user, on a host of the test's own."""

    def __init__(self, like: Account) -> None:
        self.place, self.uid, self.gid = like.place, like.uid, like.gid
        self.data, self.ranges = like.data, like.ranges
        (self.place / "resolv.conf").write_text("nameserver 127.0.0.1\nsearch example.test\n")
        (self.place / "resolv.conf").chmod(0o644)
        os.mknod(self.place / "tun", 0o666 | 0o020000, os.makedev(10, 200))
        (self.place / "tun").chmod(0o666)

    def command(self, program: str, *words: str) -> list[str]:
        return [
            "unshare", "--mount", "--net", "--propagation=private", "bash", "-c", HOST, "bash",
            str(self.place), str(self.uid), str(self.gid),
            sys.executable, "-B", "-c", program, str(ROOT), str(self.data), *words,
        ]  # fmt: skip


@pytest.fixture
def host(user: Account) -> Iterator[Host]:
    require_command("ip")
    made = Host(user)
    tun = made.run("import os, sys; os.close(os.open('/dev/net/tun', os.O_RDWR))", check=False)
    require(tun.returncode == 0, f"needs /dev/net/tun: {tun.stderr[-200:]}")
    yield made
    eventually("no process is left", lambda: not [pid for pid in processes() if owner(pid) == made.uid])


def told_by(host: Account, program: str, *words: str) -> dict[str, Any]:
    run = host.run(program, *words, check=False)
    if run.returncode:
        host.run(REMOVE_ALL, check=False)
    assert run.returncode == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    return told


@pytest.mark.parametrize(("network", "program"), [("default", "pasta"), ("slirp4netns", "slirp4netns")])
def test_a_users_pod_on_a_network(host: Host, root_tar: str, network: str, program: str) -> None:
    require_command(program)
    told = told_by(host, STORY, root_tar, network, program)
    name, interface, addresses = told["status"]
    assert [name, interface, addresses[0]] == [network, "eth0", "10.0.2.100/24"]
    assert (addresses[1:] == ["fd63:6172:6f62::100/64"]) == (program == "pasta")
    assert told["ports"][:3] == ["127.0.0.1:8080:80", "8081:81", "8082:82"]
    assert told["reached"] == ["80\n", "81\n", "82\n", "80\n"]
    assert told["resolv.conf"] == "search example.test\nnameserver 10.0.2.3\n"
    assert "192.0.2.7" in told["name"]
    assert told["outside"] == "outside\n"
    assert told["loopback"] == ""
    assert told["loopback if asked"] == "loopback\n"
    assert "eth0" in told["caps"]
    assert told["taken"][0] == "Conflict"
    assert told["check"] == {}
    assert [one[0] for one in told["refused"]] == ["Unsupported", "InvalidInput", "Unsupported"]
    assert told["stopped"] == ["exited", []]
    assert told["killed"] == [
        [[], 1, []], [["80\n", "running"], 1, []], [[], 1, []], [[], 1, []],
    ]  # fmt: skip


def test_a_users_pod_by_ipv6(host: Host, root_tar: str) -> None:
    require_command("pasta")
    told = told_by(host, IPV6, root_tar)
    assert told["six"] == "six\n"
    assert told["network"] == "default"
    assert "fd63:6172:6f62::100 carob-" in told["addresses"]
    assert told["twice"][0] == "Unsupported"


def test_without_the_node_for_interfaces(host: Host, root_tar: str) -> None:
    (host.place / "tun").chmod(0o600)
    told = told_by(host, WITHOUT, root_tar)
    kind, message, hint = told["network"]
    assert kind == "Unsupported"
    assert "/dev/net/tun" in message + hint
    assert "carob doctor" in hint
    assert told["list"] == []
    assert [verdict for verdict, _, _ in told["doctor"]] == ["lacking"]
    assert told["none"]["busybox"] == ["Exited(code=0)", "lo\n"]
    assert told["device"][0] == "Unsupported"
    assert "--volume /dev/net/tun:/dev/net/tun:dev" in told["device"][2]
    assert told["privileged"]["busybox"] == ["Exited(code=0)", "0\n"]
    assert told["left"] == []
