"""A pod of true on a network, from the library's call to its end: on carob's own network, beside podman's and
beside bare crun with the plugins called from a shell.

All of it takes place in a network namespace of the measurement's own, with /run/carob and /var/lib/cni
hidden, so that the host keeps none of the bridges, rules and leases. One supervisor stands by, as in
``run_to_exit``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial

from bench.bare_crun import BareCrun
from bench.figure import Figure, Skipped, Target, Unmeasurable
from bench.pairs import MODES, in_turn
from bench.podman import Podman
from bench.setting import Setting, empty
from bench.spawner import Spawner
from carob import Engine
from carob.engine.observe.ends import Exited
from carob.linux.namespaces import CLONE_NEWNET, CLONE_NEWNS, bring_loopback_up
from carob.linux.syscall import SYS_UNSHARE, syscall

_PAIRS = 20
_PODMAN_PAIRS = 6
_TARGET = Target(ratio=1 / 2)
_PLUGINS = "/usr/lib/cni"
_SETNS = 308 if os.uname().machine == "x86_64" else 268
_PORT = 18080
_CALLS = """
: >"$1/netns"
unshare --net="$1/netns" true
export CNI_CONTAINERID=bench CNI_IFNAME=eth0 CNI_NETNS="$1/netns" CNI_PATH=/usr/lib/cni
call() { CNI_COMMAND=$1 "$CNI_PATH/$2" <"$3"; }
call ADD bridge "$1/bridge.json" >"$1/result"
printf '%s,"prevResult":%s}' "$(sed 's/}$//' "$1/firewall.json")" "$(cat "$1/result")" >"$1/with-result"
call ADD firewall "$1/with-result" >"$1/ignored"
crun --root="$1/state" --cgroup-manager=cgroupfs run --bundle="$1/0" bench-network
call DEL firewall "$1/with-result"
call DEL bridge "$1/bridge.json"
umount "$1/netns"
"""


def networks(setting: Setting) -> Iterator[Figure | Skipped]:
    """A pod of one app on a network."""
    if not os.path.exists(f"{_PLUGINS}/bridge"):
        yield Skipped("network", "the CNI plugins are not installed")
        return
    with _own_host(), setting.standby_engine() as engine, contextlib.ExitStack() as stack:
        stack.callback(empty, engine)  # while their networks are here
        default = partial(_take, setting, engine, network="default")
        published = partial(_take, setting, engine, network="default", ports=(f"{_PORT}:80",))
        without = partial(_take, setting, engine, network="none")
        for what, ours, peer, theirs in (
            ("default network, run to exit of true", default, "the same with --net=none", without),
            ("one port published, run to exit of true", published, "the same with --net=none", without),
        ):
            for mode, gap_s in MODES:
                mine, others = in_turn([ours, theirs], setting.pairs(_PAIRS), gap_s, warm_up=2)
                yield Figure(what, mine, mode, peer=peer, theirs=others)
        yield from _beside_crun(setting, default)
        yield from _beside_podman(setting, default, published)


def _take(setting: Setting, engine: Engine, *, network: str, ports: tuple[str, ...] = ()) -> float:
    start = time.perf_counter()
    pod = engine.run(setting.app("true"), network=network, ports=ports)
    end = pod.wait()
    ms = (time.perf_counter() - start) * 1e3
    pod.remove()
    if any(one != Exited(0) for one in end.apps.values()):
        raise Unmeasurable(f"true did not end with 0: {end}")
    return ms


def _beside_crun(setting: Setting, ours: Callable[[], float]) -> Iterator[Figure | Skipped]:
    what, peer = "default network, run to exit of true", "crun run, bridge and firewall by a shell"
    place = os.path.join(setting.directory, "crun-network")
    try:
        with Spawner(private=True) as spawner, BareCrun(place, setting.rootfs, spawner):
            _configure(place)
            command = ["sh", "-ec", _CALLS, "sh", place]
            for mode, gap_s in MODES:
                mine, theirs = in_turn(
                    [ours, lambda: spawner.run(command)[0]], setting.pairs(_PAIRS), gap_s, warm_up=2
                )
                yield Figure(what, mine, mode, peer=peer, theirs=theirs)
    except Unmeasurable as error:
        yield Skipped(f"{what}, beside {peer}", str(error))


def _configure(place: str) -> None:
    """Has the bundle join a namespace, and writes what the plugins are told."""
    path = os.path.join(place, "0/config.json")
    with open(path) as file:
        config = json.load(file)
    for namespace in config["linux"]["namespaces"]:
        if namespace["type"] == "network":
            namespace["path"] = f"{place}/netns"
    common = {"cniVersion": "0.4.0", "name": "bench"}
    ipam = {"type": "host-local", "subnet": "10.202.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "bench0", "isGateway": True, "ipMasq": True, "ipam": ipam}
    documents = {
        "0/config.json": config,
        "bridge.json": {**common, **bridge},
        "firewall.json": {**common, "type": "firewall", "backend": "iptables"},
    }
    for name, document in documents.items():
        with open(os.path.join(place, name), "w") as file:
            json.dump(document, file)


def _beside_podman(
    setting: Setting, default: Callable[[], float], published: Callable[[], float]
) -> Iterator[Figure | Skipped]:
    try:
        place = os.path.join(setting.directory, "n")  # podman takes no run directory of more than 50 letters
        with Spawner(private=True) as spawner, Podman(place, setting.rootfs, spawner) as podman:
            peer = f"podman run ({podman.runtime})"
            for what, ours, options in (
                ("default network, run to exit of true", default, ()),
                ("one port published, run to exit of true", published, (f"--publish={_PORT}:80",)),
            ):
                theirs_run = partial(podman.run, "--network=podman", *options)
                for mode, gap_s in MODES:
                    mine, theirs = in_turn([ours, theirs_run], setting.pairs(_PODMAN_PAIRS), gap_s)
                    yield Figure(what, mine, mode, peer=peer, theirs=theirs, target=_TARGET)
    except Unmeasurable as error:
        yield Skipped("network, beside podman", str(error))


@contextlib.contextmanager
def _own_host() -> Iterator[None]:
    """Within the block this thread, and what it starts, has a network and directories of its own."""
    here = os.getcwd()
    before = [os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mnt")]
    hidden = [path for path in ("/run/carob", "/var/lib/cni") if not os.path.isdir(path)]
    for path in hidden:
        os.mkdir(path)
    try:
        syscall(SYS_UNSHARE, CLONE_NEWNET | CLONE_NEWNS)
        try:
            bring_loopback_up()
            subprocess.run(["mount", "--make-rprivate", "/"], check=True)
            for path in ("/run/carob", "/var/lib/cni"):
                subprocess.run(["mount", "-t", "tmpfs", "carob-bench", path], check=True)
            yield
        finally:
            for namespace in before:
                syscall(_SETNS, namespace, 0)
            os.chdir(here)
    finally:
        for namespace in before:
            os.close(namespace)
        for path in hidden:
            shutil.rmtree(path)
