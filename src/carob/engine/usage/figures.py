"""All that is counted of a pod and its apps, for programs that keep time series of it."""

from __future__ import annotations

import os
import time

from carob.engine.failures import Attempt
from carob.engine.observe.keeper import keepers
from carob.engine.observe.plan import read_plan
from carob.errors import Conflict
from carob.linux import cgroup_figures
from carob.linux.cgroup_figures import BlockUse as BlockUse  # noqa: PLC0414 - shown by carob.service
from carob.linux.files import read_file
from carob.pod import open_pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.usage.written import WrittenFiles
    from carob.pod import Pod


class AppFigures:
    """One app: ``counted`` by the names of ``carob.linux.cgroup_figures``, and with ``descriptors`` and
    ``sockets``; ``disks``; and what its own files take, ``written_bytes`` and ``written_inodes``.
    """

    __slots__ = ("counted", "disks", "written_bytes", "written_inodes")

    def __init__(self, counted: dict[str, int], disks: list[BlockUse]) -> None:
        self.counted = counted
        self.disks = disks
        self.written_bytes = 0
        self.written_inodes = 0


class PodFigures:
    """A running pod at ``time_ns`` (nanoseconds since 1970): the pod as a whole, ``counted``, ``apps`` by
    name (those that have a control group), ``interfaces`` by name, each as /proc/net/dev has it:
    ``receive_bytes``, ``transmit_errors`` and so on. None where the network is the host's.
    """

    __slots__ = ("apps", "counted", "interfaces", "time_ns")

    def __init__(self, time_ns: int, counted: dict[str, int]) -> None:
        self.time_ns = time_ns
        self.counted = counted
        self.apps: dict[str, AppFigures] = {}
        self.interfaces: dict[str, dict[str, int]] = {}


def of_pod(data_dir: str, uuid: str, *, written: WrittenFiles | None = None) -> PodFigures:
    """The figures of a running pod; with ``written``, also what the apps' own files take, and have open.

    Raises ``NotFound``, ``Conflict`` where it does not run.
    """
    with Attempt(f"pod {uuid} cannot be looked at", uuid), open_pod(data_dir, uuid) as pod:
        init, _ = keepers(pod)
        plan = read_plan(pod)
        group = str(plan["cgroup"])
        if init is None or not init.is_alive() or not group:
            raise Conflict(f"nothing is counted of pod {uuid}: it does not run, or has no control group")
        found = PodFigures(time.time_ns(), cgroup_figures.read(group) or {})
        if plan["network"] != "host":
            found.interfaces = _interfaces(init.pid)
        for app in plan["apps"]:
            counted = cgroup_figures.read(f"{group}/{app['name']}")
            if counted is None:
                continue
            one = found.apps[app["name"]] = AppFigures(
                counted, cgroup_figures.block_use(f"{group}/{app['name']}")
            )
            if written is not None:
                counted |= _open_files(f"{group}/{app['name']}")
                one.written_bytes, one.written_inodes = written.measure(_own_files(pod, app))
    return found


_FIELDS = ("bytes", "packets", "errors", "dropped")


def _interfaces(pid: int) -> dict[str, dict[str, int]]:
    """``/proc/<pid>/net/dev`` (proc_pid_net(5)), but for the loopback."""
    try:
        lines = read_file(f"/proc/{pid}/net/dev").decode("ascii", "replace").splitlines()[2:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, numbers = line.partition(":")
        fields = [int(word) for word in numbers.split() if word.isdecimal()]
        if name.strip() != "lo" and len(fields) == 16:
            received = {f"receive_{field}": fields[at] for at, field in enumerate(_FIELDS)}
            sent = {f"transmit_{field}": fields[at + 8] for at, field in enumerate(_FIELDS)}
            found[name.strip()] = received | sent
    return found


def _open_files(group: str) -> dict[str, int]:
    descriptors = sockets = 0
    for pid in cgroup_figures.members(group):
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue  # it has ended
        descriptors += len(names)
        for name in names:
            try:
                sockets += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
            except OSError:
                continue
    return {"descriptors": descriptors, "sockets": sockets}


def _own_files(pod: Pod, app: dict[str, Any]) -> str:
    """The directory with what the app has written into its own file system."""
    rootfs = app["rootfs"]
    return f"{pod.path()}/{rootfs.get('upper') or rootfs.get('directory')}"
