"""Whoever attaches or detaches is killed, at every step and at any time; the next detach leaves nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carob.network import strays
from tests.needs import require_command
from tests.unit.network.laboratory import PLUGINS, Host, Pod, ask, links, listening, rules, settled_links

SRC = str(Path(__file__).resolve().parents[2] / "src")
SCRIPT = f"""
import os, sys
sys.path.append({SRC!r})
from carob.network.attach import attach
from carob.network.detach import detach
from carob.network.places import Places
what, path, state, namespace, data_dir = sys.argv[1:]
pod = os.open(path, os.O_RDONLY)
places = Places(plugins=({PLUGINS!r},), state=state)
os.write(2, b"ready")
if what == "attach":
    attach(pod, places, namespace=namespace, data_dir=data_dir)
else:
    detach(pod, places)
"""
# What it asks of the kernel once it is loaded: making processes and pipes, locks, files, waiting.
STEPS = (
    "clone3",
    "vfork",
    "pidfd_open",
    "pipe2",
    "flock",
    "mkdir",
    "renameat",
    "unlink",
    "rmdir",
    "poll",
    "wait4",
)
MOST = 40
ROUNDS = 12
RACE_S = 3


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host.of_its_own(tmp_path) as made:
        ipam = {"type": "host-local", "subnet": "10.201.0.0/24", "dataDir": str(made.directory / "leases")}
        made.configure(
            "plain",
            {"type": "bridge", "bridge": "br-plain", "isGateway": True, "ipMasq": True, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
            {"type": "firewall", "backend": "iptables"},
        )
        yield made


def command(what: str, host: Host, pod: Pod) -> list[str]:
    arguments = [what, str(pod.path), host.places.state, pod.namespace, str(host.directory)]
    return [sys.executable, "-I", "-S", "-c", SCRIPT, *arguments]


def killed_at(step: str, number: int, what: str, host: Host, pod: Pod) -> bool:
    """Run it and kill it as it makes its n-th call of this kind; say whether it came that far."""
    inject = f"inject={step}:signal=SIGKILL:when={number}"
    strace = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={step}", "-e", inject]
    result = subprocess.run([*strace, *command(what, host, pod)], capture_output=True, check=False)
    assert result.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), result.stderr
    return result.returncode != 0


def all_rules() -> list[str]:
    """The rules of this host, and the chains that somebody made."""
    lines = [line.partition(" [")[0] for line in rules().splitlines()]
    return sorted(
        line for line in lines if line.startswith("-A") or (line[:1] == ":" and line.endswith(" -"))
    )


def assert_nothing_is_left(host: Host, pod: Pod, before: list[str] | None = None) -> None:
    assert host.detach(pod) == {}
    found = all_rules()
    assert not [rule for rule in found if pod.uuid in rule]
    assert before is None or found == before
    assert host.leases_of(pod) == []
    assert pod.uuid not in host.known()
    assert strays.kill(pod.uuid) == 0
    assert host.detach(pod) == {}


def shared() -> set[str]:
    """The interfaces that stay while their network is in use."""
    return links() & {"lo", "carob0", "br-plain"}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("network", ["default", "plain"])
@pytest.mark.parametrize("what", ["attach", "detach"])
def test_killed_at_every_step(host: Host, what: str, network: str) -> None:
    require_command("strace")
    steps = 0
    neighbour = host.pod()
    host.attach(neighbour, network, ports=("8081:80",))
    before = all_rules()
    for step in STEPS:
        for number in range(1, MOST):
            pod = host.pod()
            if what == "attach":
                host.plan(pod, network, ("8080:80",))
            else:
                host.attach(pod, network, ("8080:80",))
                host.release_ports(pod)
                pod.die()
            was_killed = killed_at(step, number, what, host, pod)
            pod.die()
            assert_nothing_is_left(host, pod, before)
            pod.close()
            if not was_killed:
                break
            steps += 1
    assert steps >= 15
    with listening(neighbour, 80, b"fine"):
        assert ask("127.0.0.1", 8081) == b"fine", "the neighbour's network is what it was"
    neighbour.die()
    assert_nothing_is_left(host, neighbour)
    expected = shared()
    assert settled_links(expected) == expected
    assert "10.201.0." not in rules()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("network", ["default", "plain"])
@pytest.mark.parametrize("with_plugins", [False, True], ids=["alone", "with all plugins"])
def test_killed_at_any_time(host: Host, network: str, with_plugins: bool) -> None:
    """Alone, as by a crash; or with every plugin that is at work, as when a whole cgroup is killed."""
    host.attach(host.pod(), network, ports=("8081:80",))
    before = all_rules()
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    for _ in range(ROUNDS):
        pod = host.pod()
        host.plan(pod, network, ("8080:80",))
        child = subprocess.Popen(command("attach", host, pod), stderr=subprocess.PIPE)
        assert child.stderr is not None
        assert child.stderr.read(5) == b"ready"
        time.sleep(chance.uniform(0, 0.03 if network == "default" else 0.15))
        child.kill()
        if with_plugins:
            while strays.kill(pod.uuid):
                continue
        child.wait()
        child.stderr.close()
        pod.die()
        assert_nothing_is_left(host, pod, before)
        pod.close()


@pytest.mark.slow
def test_killed_while_the_pod_lives_and_attached_again_by_nobody(host: Host) -> None:
    """The namespace is still there: the interface goes as well."""
    for delay_s in (0.002, 0.006, 0.010, 0.014, 0.018, 0.022, 0.026):
        pod = host.pod()
        host.plan(pod, "default", ("8080:80",))
        child = subprocess.Popen(command("attach", host, pod), stderr=subprocess.PIPE)
        assert child.stderr is not None
        assert child.stderr.read(5) == b"ready"
        time.sleep(delay_s)
        child.kill()
        child.wait()
        child.stderr.close()
        assert host.detach(pod, namespace=pod.namespace) == {}
        assert pod.inside("ip", "-o", "link").count("\n") == 1
        assert pod.uuid not in rules()
        assert host.leases_of(pod) == []
    assert links() <= {"lo", "carob0"}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("network", ["default", "plain"])
def test_many_pods_at_once(host: Host, network: str) -> None:
    """Sixteen attach, and then detach, each in a process of its own: all succeed, none disturbs another."""
    pods = [host.pod() for _ in range(16)]
    for number, pod in enumerate(pods):
        host.plan(pod, network, (f"{8100 + number}:80",))
    _all(pods, lambda pod: command("attach", host, pod))
    addresses = [pod.addresses()[0] for pod in pods]
    assert len(set(addresses)) == 16
    for number, pod in enumerate(pods):
        with listening(pod, 80, str(number).encode()):
            assert ask("127.0.0.1", 8100 + number) == str(number).encode()
    for pod in pods:
        pod.die()
    _all(pods, lambda pod: command("detach", host, pod))
    for pod in pods:
        assert_nothing_is_left(host, pod)
    settled_links({"lo", "carob0"} if network == "default" else {"lo", "br-plain"})
    host.collect()
    assert "10.201.0." not in rules()
    if network == "default":
        assert settled_links({"lo"}) == {"lo"}
        assert "carob" not in rules().lower()


def _all(pods: list[Pod], command_for: Callable[[Pod], list[str]]) -> None:
    children = [subprocess.Popen(command_for(pod), stderr=subprocess.PIPE) for pod in pods]
    said = [child.communicate(timeout=100)[1] for child in children]
    assert [child.returncode for child in children] == [0] * len(pods), b"\n".join(said).decode()


def test_gc_removes_a_network_only_when_nobody_is_on_it_or_on_the_way(host: Host) -> None:
    """Attaching, detaching and gc race; a pod that was attached works, and at the end nothing is left."""
    stop = time.monotonic() + RACE_S
    collector = os.fork()
    if collector == 0:
        status = 1
        try:
            removed, problems = 0, []
            while time.monotonic() < stop:
                collection = host.collect()
                removed += len(collection.removed)
                problems += collection.problems
            print(f"networks removed: {removed}, problems: {problems}", flush=True)
            status = 0 if removed and not problems else 2
        finally:
            os._exit(status)
    try:
        while time.monotonic() < stop - RACE_S / 6:
            pod = host.pod()
            host.attach(pod, ports=("8080:80",))
            with listening(pod, 80, b"fine"):
                for _ in range(5):
                    assert ask("127.0.0.1", 8080) == b"fine"
                    time.sleep(0.02)
            host.release_ports(pod)
            pod.die()
            assert_nothing_is_left(host, pod)
            pod.close()
    finally:
        _, status = os.waitpid(collector, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    settled_links({"lo", "carob0"})
    host.collect()
    assert settled_links({"lo"}) == {"lo"}
    assert "carob" not in rules().lower()
