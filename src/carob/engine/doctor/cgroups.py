"""Control groups: their version, what they can limit, and whether this user may make some."""

from __future__ import annotations

import os

from carob.engine.doctor.check import Check, wanted
from carob.linux import cgroup, delegation
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TOPIC = "cgroups"
_CONTROLLERS = {
    "cpu": "--cpus and --cpu-shares",
    "memory": "--memory",
    "pids": "--pids-limit",
    "cpuset": "--cpuset-cpus",
    "io": "--device-read-bps and its like",
}
_V1_NAMES = {"io": "blkio"}
_MOUNT = "mount cgroups: systemd does, or mount -t cgroup2 none /sys/fs/cgroup"
_DELEGATE = "delegate: systemctl edit user@.service, with [Service] and Delegate=cpu cpuset io memory pids"


def checks() -> Iterable[Check]:
    """All about control groups."""
    names = cgroup.hierarchies()
    pure = names == [cgroup.V2]
    kind = "v2" if pure else "v1 and v2" if cgroup.UNIFIED in names else "v1" if names else "none"
    yield wanted(_TOPIC, "version", there=bool(names), found=kind, mend=f"{_MOUNT}; pods have no limits else")
    if not names:
        return
    there = _v2_controllers() if pure else {part for name in names for part in name.split(",")}
    for controller, use in _CONTROLLERS.items():
        has = _as_mounted(controller) in there
        mend = (
            _DELEGATE if pure and os.geteuid() else f"boot with cgroup_enable={controller}, or another kernel"
        )
        yield wanted(
            _TOPIC, f"{controller} ({use})", there=has, found="there" if has else "not there", mend=mend
        )
    if os.geteuid():
        yield _delegated(names)
        return
    place = _own_group(names)
    yield wanted(
        _TOPIC, "groups of this user's own", there=os.access(place, os.W_OK), found=place,
        mend="run where /sys/fs/cgroup is mounted to be written to",
    )  # fmt: skip


def _delegated(names: list[str]) -> Check:
    """A user's pods are below the group that is the user's; without one they have none."""
    found = delegation.find()
    where = _own_group(names) if found is None else cgroup.directory(found.hierarchies[0], found.group)
    lacking = [name for name in _CONTROLLERS if found is not None and not found.controls(_as_mounted(name))]
    text = f"{where}, without {', '.join(lacking)}" if lacking else where
    return wanted(
        _TOPIC, "groups of this user's own", there=found is not None and not lacking,
        found=text if found is not None else f"{where} is not this user's: pods have no limits",
        mend=_DELEGATE if names == [cgroup.V2] else "have its directory owned by the user, on each hierarchy",
    )  # fmt: skip


def _as_mounted(controller: str) -> str:
    return controller if cgroup.hierarchies() == [cgroup.V2] else _V1_NAMES.get(controller, controller)


def _v2_controllers() -> set[str]:
    """What a group of this user's can have."""
    try:
        return set(read_file(f"{_own_group([cgroup.V2])}/cgroup.controllers").decode().split())
    except OSError:
        return set()


def _own_group(names: list[str]) -> str:
    """Where this user would make groups: root at the top, others where they are."""
    name = (
        cgroup.V2
        if names == [cgroup.V2]
        else next((one for one in names if cgroup.holds_pods(one)), names[0])
    )
    if os.geteuid() == 0:
        return cgroup.directory(name, "/")
    return cgroup.directory(name, cgroup.memberships(os.getpid()).get(name, "/"))
