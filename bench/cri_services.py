"""carob's CRI service and containerd's, side by side, each on a host of its own.

Each has its own network, mount and PID namespaces: the host keeps none of their bridges, rules, leases and
mounts, and nothing of what they started outlives them. /run/carob, /run/containerd and /var/lib/cni are
hidden in there. cgroups are the host's, below one group, which is removed at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.cri_client import CriClient
from bench.cri_images import REFERENCE, write_archive
from bench.figure import Unmeasurable
from carob import Engine
from carob.linux import cgroup

_HIDDEN = ("/run/carob", "/run/containerd", "/var/lib/cni")
_NAMESPACES = ("--net", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc")
_SCRIPT = """\
ip link set lo up
for path in $0; do mount -t tmpfs bench "$path"; done
"$@" & # the shell stays, to take in the shims that containerd leaves to init
wait
"""
_ENDED_S = 20
_PLUGINS = "/usr/lib/cni"
_NEEDED = ("containerd", "ctr", "runc")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_CONTAINERD = """\
version = 2
root = "{place}/root"
state = "{place}/state"
[grpc]
address = "{place}/cri.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{place}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{image}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{place}/net.d"
"""


@contextlib.contextmanager
def carob(place: str, rootfs: str) -> Iterator[CriClient]:
    """carob's, on its own default network, with a data directory of its own."""
    os.makedirs(place)
    engine = Engine(os.path.join(place, "data"))
    engine.images.load(write_archive(rootfs, os.path.join(place, "image.tar")))
    address = f"{place}/cri.sock"
    command = [
        sys.executable,
        "-m",
        "carob",
        f"--dir={engine.data_dir}",
        "api-service",
        f"--cri=unix:{address}",
    ]
    with _serving([*command, "--cri-network=default"], place, address) as client:
        client.await_ready()
        yield client


@contextlib.contextmanager
def containerd(place: str, rootfs: str) -> Iterator[CriClient]:
    """containerd's, with runc and overlayfs, and the network that its own set-up makes: bridge and portmap.

    Raises ``Unmeasurable`` where it is not installed or does not come up.
    """
    lacking = [name for name in _NEEDED if shutil.which(name, path=_PATH) is None]
    if lacking or not os.path.exists(f"{_PLUGINS}/portmap"):
        raise Unmeasurable(f"not installed: {', '.join(lacking) or 'the CNI plugins'}")
    os.makedirs(f"{place}/net.d")
    with open(f"{place}/config.toml", "w") as file:
        file.write(_CONTAINERD.format(place=place, image=REFERENCE, plugins=_PLUGINS))
    with open(f"{place}/net.d/10-bench.conflist", "w") as file:
        json.dump(_network(f"{place}/leases"), file)
    address = f"{place}/cri.sock"
    with _serving(["containerd", f"--config={place}/config.toml"], place, address) as client:
        client.await_ready()
        archive = write_archive(rootfs, f"{place}/image.tar")
        command = ["ctr", f"--address={address}", "--namespace=k8s.io", "images", "import", archive]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unmeasurable(f"ctr: {done.stderr.strip()}")
        yield client


def _network(leases: str) -> dict[str, object]:
    ipam = {
        "type": "host-local",
        "dataDir": leases,
        "ranges": [[{"subnet": "10.203.0.0/16"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "bench0", "isGateway": True, "ipMasq": True, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "bench", "plugins": [bridge, portmap]}


@contextlib.contextmanager
def _serving(command: list[str], place: str, address: str) -> Iterator[CriClient]:
    """While in the block the command runs on a host of its own. Its pods end before it does, if they can."""
    argv = ["setpriv", "--pdeathsig=KILL", "unshare", *_NAMESPACES]
    argv += ["sh", "-ec", _SCRIPT, " ".join(_HIDDEN), *command]
    environment = {**os.environ, "PATH": _PATH}
    made = [path for path in _HIDDEN if _make_directory(path)]
    group = f"/carob-bench-{os.path.basename(place)}-{os.getpid()}"
    cgroup.create(group)
    try:
        with (
            open(f"{place}/log", "wb") as log,
            subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment
            ) as process,
            CriClient(address, directory=f"{place}/logs", group=group) as client,
        ):
            try:
                yield client
            finally:
                with contextlib.suppress(Unmeasurable):
                    client.remove_all()
                process.kill()
    finally:
        _remove_groups(group)
        for path in made:
            with contextlib.suppress(OSError):  # somebody else has put something there
                os.rmdir(path)


def _make_directory(path: str) -> bool:
    if os.path.isdir(path):
        return False
    os.mkdir(path)
    return True


def _remove_groups(group: str) -> None:
    end = time.monotonic() + _ENDED_S
    for hierarchy in cgroup.hierarchies():
        for directory, _, _ in os.walk(cgroup.directory(hierarchy, group), topdown=False):
            while True:
                try:
                    os.rmdir(directory)
                    break
                except OSError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.01)  # the namespace's last processes are on their way out
