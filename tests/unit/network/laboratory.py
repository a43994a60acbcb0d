"""A host and pods to try networks on: network namespaces of a test's own, which nothing else can see."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from carob.linux.namespaces import CLONE_NEWNET, bring_loopback_up
from carob.linux.syscall import SYS_UNSHARE, syscall
from carob.network.attach import Attached, attach
from carob.network.collect import Collection, collect
from carob.network.detach import detach
from carob.network.places import Places
from carob.network.planning import make_plan
from carob.network.record import make_record
from carob.spec.cni.network_option import parse_networks
from carob.spec.cni.port_mappings import parse_ports
from tests.needs import require, require_command, require_root

SYS_SETNS = 308 if os.uname().machine == "x86_64" else 268
PLUGINS = "/usr/lib/cni"


@contextmanager
def own_network() -> Iterator[None]:
    """Within the block this thread, and what it starts, is on a host with nothing but loopback."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscall(SYS_UNSHARE, CLONE_NEWNET)
        try:
            bring_loopback_up()
            yield
        finally:
            syscall(SYS_SETNS, before, CLONE_NEWNET)
    finally:
        os.close(before)


def run(*command: str) -> str:
    """Run a command on this host and return what it says."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Pod:
    """A pod's directory, with a process in a network namespace of its own in place of an init."""

    def __init__(self, data_dir: Path) -> None:
        self.uuid = str(uuid.uuid4())
        self.path = data_dir / "pods" / "run" / self.uuid
        self.path.mkdir(parents=True)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._init = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 1000"],
            stdout=subprocess.PIPE,
        )
        assert self._init.stdout is not None
        assert self._init.stdout.readline() == b"up\n"

    @property
    def namespace(self) -> str:
        return f"/proc/{self._init.pid}/ns/net"

    def inside(self, *command: str) -> str:
        """Run a command in the pod's network."""
        return run("nsenter", f"--net={self.namespace}", *command)

    def addresses(self) -> list[str]:
        """The IPv4 addresses of the pod, with their prefixes."""
        words = self.inside("ip", "-4", "-o", "address", "show", "scope", "global").split()
        return [words[at + 1] for at, word in enumerate(words) if word == "inet"]

    def inside_socket(self, kind: int) -> socket.socket:
        """An IPv4 socket in the pod's network."""
        made: list[socket.socket] = []

        def make() -> None:
            with open(self.namespace) as namespace:
                syscall(SYS_SETNS, namespace.fileno(), CLONE_NEWNET)
            made.append(socket.socket(socket.AF_INET, kind))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]

    def die(self) -> None:
        """End the process and, with it, the namespace."""
        if self._init.returncode is None:
            self._init.kill()
            self._init.wait()
            assert self._init.stdout is not None
            self._init.stdout.close()

    def close(self) -> None:
        self.die()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Host:
    """A host with the plugins of Debian's package, its own state, and pods."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._net_d = directory / "net.d"
        self._net_d.mkdir(parents=True)
        self.places = Places(
            configurations=(str(self._net_d),), plugins=(PLUGINS,), state=str(directory / "state")
        )
        self._pods: list[Pod] = []
        self._ports: dict[str, Attached] = {}

    @classmethod
    @contextmanager
    def of_its_own(cls, directory: Path) -> Iterator[Host]:
        """A host for the block; the calling thread is on it. Its pods end with the block."""
        require_root()
        require(
            Path(f"{PLUGINS}/bridge").exists(),
            "needs Debian's containernetworking-plugins: setup/install --test",
        )
        require_command("iptables-restore")
        with own_network():
            host = cls(directory)
            try:
                yield host
            finally:
                for attached in host._ports.values():
                    attached.ports.close()
                for pod in host._pods:
                    pod.close()

    def configure(self, name: str, *plugins: dict[str, Any]) -> None:
        """Adds a network of CNI 1.0."""
        self.configure_file(
            f"10-{name}.conflist", {"cniVersion": "1.0.0", "name": name, "plugins": list(plugins)}
        )

    def configure_file(self, name: str, document: dict[str, Any]) -> None:
        (self._net_d / name).write_text(json.dumps(document))

    def pod(self) -> Pod:
        """A pod that runs, and is on no network yet."""
        self._pods.append(Pod(self.directory))
        return self._pods[-1]

    def plan(self, pod: Pod, networks: str = "default", ports: tuple[str, ...] = ()) -> None:
        """Writes down the pod's networks."""
        mappings = [mapping for text in ports for mapping in parse_ports(text)]
        plan = make_plan(pod.uuid, parse_networks([networks]), self.places, mappings=mappings)
        with make_record(pod.fd) as record:
            record.write_plan(plan)

    def attach(self, pod: Pod, networks: str = "default", ports: tuple[str, ...] = ()) -> Attached:
        """Plans and attaches; the ports are held until ``release_ports`` or the host's end."""
        self.plan(pod, networks, ports)
        data_dir = str(self.directory)
        attached = attach(pod.fd, self.places, namespace=pod.namespace, data_dir=data_dir)
        self._ports[pod.uuid] = attached
        return attached

    def release_ports(self, pod: Pod) -> None:
        self._ports.pop(pod.uuid).ports.close()

    def detach(self, pod: Pod, **more: Any) -> dict[str, str]:
        return detach(pod.fd, self.places, **more)

    def collect(self, *, data_dir: str = "") -> Collection:
        """One pass of what gc does after the pods' own clean-up."""

        def is_there(uuid: str) -> bool:
            return (self.directory / "pods/run" / uuid).is_dir()

        return collect(self.places, data_dir or str(self.directory), is_there)

    def known(self) -> list[str]:
        """The pods that this boot knows of."""
        directory = Path(self.places.state) / "pods"
        return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []

    def leases_of(self, pod: Pod) -> list[str]:
        """The addresses that host-local has for a pod, in whatever directory of this host."""
        return sorted(
            path.name
            for path in self.directory.rglob("leases/*/*")
            if path.is_file() and path.read_bytes().startswith(pod.uuid.encode())
        )

    def forget_state(self) -> None:
        """What a reboot does to a directory in memory."""
        shutil.rmtree(self.places.state)


@contextmanager
def listening(pod: Pod, port: int, word: bytes, address: str = "0.0.0.0") -> Iterator[None]:
    """Within the block the pod answers every TCP connection to the port with a word."""
    made: list[socket.socket] = []
    ready = threading.Event()

    def serve() -> None:
        with open(pod.namespace) as namespace:
            syscall(SYS_SETNS, namespace.fileno(), CLONE_NEWNET)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.create_server((address, port), family=family)
        made.append(server)
        ready.set()
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(word)

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        made[0].shutdown(socket.SHUT_RDWR)
        made[0].close()
        thread.join()


def ask(address: str, port: int, *, timeout_s: float = 3.0) -> bytes:
    """What answers at an address of this host's network."""
    with socket.create_connection((address, port), timeout=timeout_s) as connection:
        return connection.recv(100)


def rules() -> str:
    """All rules of this host's packet filter, of both families."""
    return run("iptables-save") + run("ip6tables-save")


def links() -> set[str]:
    """The names of this host's interfaces."""
    lines = run("ip", "-o", "link").splitlines()
    return {line.split(":")[1].strip().partition("@")[0] for line in lines}


def settled_links(expected: set[str], patience_s: float = 5.0) -> set[str]:
    """The interfaces, once they are those expected: a namespace ends a little after its last process."""
    deadline = time.monotonic() + patience_s
    while (found := links()) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def leases(places: Places) -> list[str]:
    """The addresses that are leased on carob's own networks."""
    return sorted(path.name for path in Path(places.leases()).glob("*/*") if path.name[0].isdigit())
