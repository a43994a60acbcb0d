"""The peer that people know: podman with its own storage and its fastest working runtime."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from bench.figure import Unmeasurable
from bench.spawner import Spawner
from carob.linux import cgroup

_IMAGE = "localhost/bench"
LOCKS = "/dev/shm/libpod_lock"
_PARENT_GROUP = "/libpod_parent"
_TRIALS = 3
_UNMOUNT = (  # what podman left mounted below its directory, the innermost first
    """awk -v top="$1/" 'index($5, top) == 1 { print $5 }' /proc/self/mountinfo | sort -r"""
    " | xargs -r umount -l"
)
_CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{runtime}"
tmp_dir = "{directory}/tmp"
volume_path = "{directory}/volumes"
static_dir = "{directory}/static"
[network]
network_config_dir = "{directory}/networks"
"""


class Podman:
    """``runtime`` says with which one it was fastest. ``run`` and the like return milliseconds."""

    def __init__(self, directory: str, rootfs: str, spawner: Spawner) -> None:
        if shutil.which("podman") is None:
            raise Unmeasurable("podman is not installed")
        self._directory = directory
        self._spawner = spawner
        self._keep_locks = os.path.exists(LOCKS)
        self._keep_group = {name for name in cgroup.hierarchies() if os.path.exists(_group(name))}
        self._count = 0
        os.makedirs(directory)
        self._environment = {"PATH": os.environ["PATH"], "HOME": directory}
        self.version = spawner.run(["podman", "--version"])[1].split()[-1]
        try:
            self.runtime = self._set_up(rootfs)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._podman("pod", "rm", "--all", "--force", "--time=0", ok=range(256))
            self._podman("rm", "--all", "--force", "--time=0", ok=range(256))
            self._podman("rmi", "--all", "--force", ok=range(256))
        finally:
            unmount_below(self._directory, self._spawner)
            for name in cgroup.hierarchies():
                if name not in self._keep_group:
                    _remove_group(_group(name))
            if not self._keep_locks and os.path.exists(LOCKS):
                os.unlink(LOCKS)

    def _set_up(self, rootfs: str) -> str:
        """Imports the image and tries the runtimes; returns the name of the fastest."""
        archive = os.path.join(self._directory, "image.tar")
        best: dict[str, float] = {}
        reasons = []
        for runtime in ("crun", "runc"):
            if shutil.which(runtime, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
                continue
            self._configure(runtime)
            try:
                if not os.path.exists(archive):
                    self._spawner.run(["tar", "-C", rootfs, "-cf", archive, "."])
                    self._podman("import", archive, _IMAGE)
                best[runtime] = min(self.run_and_remove()[0] for _ in range(_TRIALS))
            except Unmeasurable as error:
                reasons.append(str(error))
        if not best:
            why = "; ".join(reasons) or "none found"
            raise Unmeasurable(f"podman {self.version} works with no runtime here: {why}")
        runtime = min(best, key=lambda name: best[name])
        self._configure(runtime)
        return runtime

    def _configure(self, runtime: str) -> None:
        path = os.path.join(self._directory, "containers.conf")
        with open(path, "w") as file:
            file.write(_CONFIGURATION.format(runtime=runtime, directory=self._directory))
        self._environment["CONTAINERS_CONF"] = path

    def _podman(self, *arguments: str, ok: range | tuple[int, ...] = (0,)) -> tuple[float, str]:
        return self._spawner.run(self.command(*arguments), environment=self._environment, ok=ok)

    def command(self, *arguments: str) -> list[str]:
        """A podman command line with its own storage."""
        storage = [f"--root={self._directory}/root", f"--runroot={self._directory}/runroot"]
        return ["podman", *storage, "--storage-driver=overlay", *arguments]

    def run_and_remove(self, *options: str) -> tuple[float, float]:
        """(run of true to its end, removal after that), milliseconds each."""
        self._count += 1
        name = f"bench-{self._count}"
        ms, _ = self._podman("run", *(options or ("--network=none",)), f"--name={name}", _IMAGE, "true")
        return ms, self._podman("rm", name)[0]

    def run(self, *options: str) -> float:
        """A container of true, run to its end, by default without a network; its removal is not counted."""
        return self.run_and_remove(*options)[0]

    def write_much(self, argv: list[str]) -> float:
        """A container whose output goes into its log, run to its end; its removal is not counted."""
        self._count += 1
        name = f"bench-{self._count}"
        podman = shlex.join(self.command())
        script = (
            f"{podman} run --detach --network=none --name={name} {_IMAGE} {shlex.join(argv)}"
            f" && {podman} wait {name}"
        )
        ms, _ = self._spawner.run(["sh", "-ec", script], environment=self._environment)
        self._podman("rm", name)
        return ms

    @contextlib.contextmanager
    def live(self) -> Iterator[Callable[[], float]]:
        """While in the block a container runs; what it gives executes true in it: milliseconds."""
        name = "bench-live"
        run = self.command("run", "--detach", "--network=none", f"--name={name}", _IMAGE, "sleep", "3600")
        self._spawner.run(run, environment=self._environment, await_stragglers=False)
        command = self.command("exec", name, "true")
        try:
            yield lambda: self._spawner.run(command, environment=self._environment, await_stragglers=False)[0]
        finally:
            self._podman("rm", "--force", "--time=0", name)

    def run_pod(self, apps: int) -> float:
        """A pod of that many containers of true, made, started and waited for; its removal is not counted."""
        self._count += 1
        pod = f"bench-pod-{self._count}"
        names = [f"{pod}-{number}" for number in range(apps)]
        podman = " ".join(self.command())
        creations = " ".join(f"{podman} create --pod={pod} --name={name} {_IMAGE} true &" for name in names)
        script = (
            f"{podman} pod create --network=none --name={pod} --infra-image={_IMAGE}"
            f" --infra-command='sleep 3600' && {{ {creations} wait; }}"
            f" && {podman} pod start {pod} && {podman} wait {' '.join(names)}"
        )
        # The pod's own process stays until the pod is removed.
        ms, _ = self._spawner.run(
            ["sh", "-ec", script], environment=self._environment, await_stragglers=False
        )
        self._podman("pod", "rm", "--force", "--time=0", pod)
        return ms


def unmount_below(directory: str, spawner: Spawner) -> None:
    """Unmounts what podman left mounted there, in the spawner's mount namespace."""
    spawner.run(["sh", "-c", _UNMOUNT, "sh", directory], ok=range(256))


def _group(hierarchy: str) -> str:
    return cgroup.directory(hierarchy, _PARENT_GROUP)


def _remove_group(path: str) -> None:
    for directory, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            continue
