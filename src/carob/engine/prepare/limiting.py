"""From what was asked to what this host grants: devices by number, swap beside memory.

Nothing is cut down silently: what cannot be had is refused, with the reason, before there is a pod.
"""

from __future__ import annotations

import os
import stat

from carob.engine.failures import about
from carob.engine.request.resources import UNLIMITED, numbers
from carob.errors import CarobError, InvalidInput, NotFound, Unsupported
from carob.linux import cgroup, limits
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.request.resources import Resources

_SIZES = "/sys/kernel/mm/hugepages"
_KILOBYTES = {"KB": 1, "MB": 1 << 10, "GB": 1 << 20}
_BFQ_OF_V1 = "blkio.bfq.weight"


def settle(resources: Resources, of_whom: str, *, above: str, runtime: str = "") -> dict[str, Any]:
    """The settled document (`carob.runtime.resources`) of an app, or with no ``runtime`` of a whole pod.

    ``of_whom`` are the words for it, ``above`` is the group that those of pods are made in. Raises
    ``Unsupported`` for what this host has not got, ``NotFound`` for a device.
    """
    settled = resources.given()
    try:
        if "io_max" in settled:
            settled["io_max"] = {_device(path): rates for path, rates in settled["io_max"].items()}
        _check_processors(resources)
        for size in settled.get("hugepages", {}):
            if f"hugepages-{int(size[:-2]) * _KILOBYTES[size[-2:]]}kB" not in os.listdir(_SIZES):
                raise Unsupported(f"hugepages: this host has no pages of {size}")
        brings_swap = "memory_bytes" in settled and "memory_swap_bytes" not in settled
        if brings_swap:  # as with docker and podman, where the kernel counts it
            memory = settled["memory_bytes"]
            settled["memory_swap_bytes"] = UNLIMITED if memory == UNLIMITED else 2 * memory
        for one in _lacking(settled, above):
            if one.argument == "memory_swap_bytes" and brings_swap:
                del settled["memory_swap_bytes"]
                continue
            raise _not_here(one, above)
        _check_runtime(settled, runtime)
    except CarobError as error:
        raise about(of_whom, error) from error.__cause__
    return settled


def _not_here(one: limits.Write, above: str) -> Unsupported:
    if os.geteuid() == 0:
        return Unsupported(
            f"{one.argument}: this host's kernel has no {one.file} for control groups",
            hint="/proc/cgroups shows the controllers; carob doctor tells more",
        )
    return Unsupported(
        f"{one.argument}: there is no {one.file} in groups below {os.path.dirname(above)}",
        hint="have the controller delegated; on v2, with no process in that very group (DelegateSubgroup=)",
    )


def _lacking(settled: dict[str, Any], above: str) -> list[limits.Write]:
    """What no file is there for, as a group made for the look shows; others come and go beside it."""
    group = cgroup.look_group(above)
    cgroup.create(group, limits.hierarchies(settled))
    try:
        return [one for one in limits.writes(settled) if not limits.is_there(group, one)]
    finally:
        cgroup.remove(group)


def _check_runtime(settled: dict[str, Any], runtime: str) -> None:
    for one in limits.writes(settled):
        if not runtime and one.argument == "io_max" and one.hierarchy != cgroup.V2:
            raise Unsupported(
                "io_max: of a whole pod it takes cgroup v2, and this host has v1",
                hint="give it to each app instead",
            )
        if runtime == "crun" and one.file == _BFQ_OF_V1:
            raise Unsupported(
                f"io_weight: crun cannot write {_BFQ_OF_V1}, which this host has for it",
                hint="runc can; or give it to the whole pod",
            )


def _check_processors(resources: Resources) -> None:
    count = os.cpu_count() or 1
    if resources.cpus is not None and resources.cpus > count:
        raise Unsupported(f"cpus: this host has {count}, so {resources.cpus:g} cannot be had")
    for name, kind in (("cpuset_cpus", "cpus"), ("cpuset_mems", "mems")):
        wanted = numbers(getattr(resources, name))
        if wanted and not wanted <= numbers(here := _available(kind)):
            raise Unsupported(
                f"{name}: not all of {getattr(resources, name)} are here", hint=f"there are {here}"
            )


def _available(kind: str) -> str:
    """The processors or memory nodes that groups can be given."""
    hierarchy = limits.hierarchy_of("cpuset")
    if hierarchy is None:
        raise Unsupported("cpuset: this host has no cgroup controller for it", hint="carob doctor tells more")
    top = cgroup.directory(hierarchy, "/")
    file = f"cpuset.{kind}.effective" if hierarchy == cgroup.V2 else f"cpuset.effective_{kind}"
    return read_file(f"{top}/{file}").decode().strip()


def _device(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError as error:
        raise NotFound(f"io_max: the device {path} is not there: {error.strerror}") from error
    if not stat.S_ISBLK(found.st_mode):
        raise InvalidInput(f"io_max: {path} is no block device")
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    if os.path.exists(f"/sys/dev/block/{number}/partition"):
        raise InvalidInput(f"io_max: {path} is a part of a disk", hint="name the whole disk")
    return number
