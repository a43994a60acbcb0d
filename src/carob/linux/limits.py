"""Limits of a control group as files of v1 and v2: cgroups(7), the kernel's cgroup-v2.rst.

They are given as a *settled* document (`carob.runtime.resources`). For a whole pod the monitor writes them,
for an app the OCI runtime; what changes while it runs is written here for both.
"""

from __future__ import annotations

import os

from carob.linux import cgroup
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_V1_IO = {
    "rbps": "blkio.throttle.read_bps_device",
    "wbps": "blkio.throttle.write_bps_device",
    "riops": "blkio.throttle.read_iops_device",
    "wiops": "blkio.throttle.write_iops_device",
}
_PERIOD_US = 100_000
_UNLIMITED = -1


class Write:
    """One file to write: the ``argument`` of ``Resources`` that asks for it, the ``hierarchy``, the text.

    ``hierarchy`` is ``None`` where no mounted one has the controller.
    """

    __slots__ = ("argument", "file", "hierarchy", "text")

    def __init__(self, argument: str, hierarchy: str | None, file: str, text: str) -> None:
        self.argument = argument
        self.hierarchy = hierarchy
        self.file = file
        self.text = text


def writes(settled: Mapping[str, Any]) -> list[Write]:
    """All that a document comes to on this host."""
    is_v2 = cgroup.hierarchies() == [cgroup.V2]
    found = []
    for argument, controller, file, text in (v2 if is_v2 else v1)(settled):
        found.append(Write(argument, hierarchy_of(controller), file, text))
    return found


def hierarchy_of(controller: str) -> str | None:
    """The hierarchy that pods have this controller in."""
    names = cgroup.hierarchies()
    if names == [cgroup.V2]:
        available = read_file(f"{cgroup.MOUNT_POINT}/cgroup.controllers").decode().split()
        return cgroup.V2 if {"blkio": "io"}.get(controller, controller) in available else None
    return next((name for name in names if controller in name.split(",")), None)


def hierarchies(settled: Mapping[str, Any]) -> list[str]:
    """The hierarchies where a pod has no groups but for these limits."""
    wanted = {one.hierarchy for one in writes(settled)}
    return sorted(name for name in wanted if name is not None and not cgroup.holds_pods(name))


def hierarchies_of_apps() -> list[str]:
    """The hierarchies where a pod has no groups but for some limits, of which an app to come may have any."""
    wanted = {hierarchy_of(controller) for controller in ("cpuset", "blkio", "hugetlb")}
    return sorted(name for name in wanted if name is not None and not cgroup.holds_pods(name))


def is_there(group: str, write: Write) -> bool:
    """Whether the kernel has such a file for this group."""
    return write.hierarchy is not None and os.path.exists(
        f"{cgroup.directory(write.hierarchy, group)}/{write.file}"
    )


def apply(group: str, settled: Mapping[str, Any]) -> None:
    """Sets the limits of a group. ``OSError`` names the file that the kernel did not take."""
    pending = writes(settled)
    refused = _write_all(group, pending)
    # Some go in one order only, which depends on what is there: both limits of memory, quota and period.
    while refused:
        left = _write_all(group, [one for one, _ in reversed(refused)])
        if len(left) == len(refused):
            raise left[0][1]
        refused = left


def _write_all(group: str, pending: list[Write]) -> list[tuple[Write, OSError]]:
    refused = []
    for one in pending:
        path = f"{cgroup.directory(one.hierarchy or cgroup.V2, group)}/{one.file}"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, one.text.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            error.filename = path
            refused.append((one, error))
    return refused


def v1(settled: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Arguments, controllers, files and texts of cgroup v1."""
    for argument, controller, file in (
        ("cpu_period_us", "cpu", "cpu.cfs_period_us"),
        ("cpu_quota_us", "cpu", "cpu.cfs_quota_us"),
        ("cpu_shares", "cpu", "cpu.shares"),
        ("cpuset_cpus", "cpuset", "cpuset.cpus"),
        ("cpuset_mems", "cpuset", "cpuset.mems"),
        ("memory_bytes", "memory", "memory.limit_in_bytes"),
        ("memory_swap_bytes", "memory", "memory.memsw.limit_in_bytes"),
        ("memory_reservation_bytes", "memory", "memory.soft_limit_in_bytes"),
    ):
        if argument in settled:
            yield argument, controller, file, str(settled[argument])
    if "pids" in settled:
        yield "pids", "pids", "pids.max", _or_max(settled["pids"])
    if "io_weight" in settled:
        yield "io_weight", "blkio", _v1_weight_file(), str(settled["io_weight"])
    for device, rates in settled.get("io_max", {}).items():
        for name, rate in rates.items():
            yield "io_max", "blkio", _V1_IO[name], f"{device} {rate}"
    for size, limit in settled.get("hugepages", {}).items():
        yield "hugepages", "hugetlb", f"hugetlb.{size}.limit_in_bytes", str(limit)


def _v1_weight_file() -> str:
    """``blkio.weight`` is CFQ's, which kernels since 5.0 have not got; BFQ's has a name of its own."""
    old = f"{cgroup.MOUNT_POINT}/{hierarchy_of('blkio')}/blkio.weight"
    return "blkio.weight" if os.path.exists(old) else "blkio.bfq.weight"


def v2(settled: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """The same of cgroup v2; controllers have their names of v1."""
    if "cpu_quota_us" in settled or "cpu_period_us" in settled:
        quota = settled.get("cpu_quota_us", _UNLIMITED)
        yield (
            "cpu_quota_us", "cpu", "cpu.max", f"{_or_max(quota)} {settled.get('cpu_period_us', _PERIOD_US)}",
        )  # fmt: skip
    if "cpu_shares" in settled:
        yield "cpu_shares", "cpu", "cpu.weight", str(weight_of(settled["cpu_shares"]))
    for argument, file in (("cpuset_cpus", "cpuset.cpus"), ("cpuset_mems", "cpuset.mems")):
        if argument in settled:
            yield argument, "cpuset", file, settled[argument]
    for argument, controller, file in (
        ("memory_bytes", "memory", "memory.max"),
        ("memory_reservation_bytes", "memory", "memory.low"),
        ("pids", "pids", "pids.max"),
    ):
        if argument in settled:
            yield argument, controller, file, _or_max(settled[argument])
    if "memory_swap_bytes" in settled:
        both = settled["memory_swap_bytes"]
        swap = both if both == _UNLIMITED else both - settled["memory_bytes"]
        yield "memory_swap_bytes", "memory", "memory.swap.max", _or_max(swap)
    if "io_weight" in settled:
        yield "io_weight", "blkio", "io.weight", f"default {io_weight_of(settled['io_weight'])}"
    for device, rates in settled.get("io_max", {}).items():
        text = " ".join(f"{name}={rate}" for name, rate in rates.items())
        yield "io_max", "blkio", "io.max", f"{device} {text}"
    for size, limit in settled.get("hugepages", {}).items():
        yield "hugepages", "hugetlb", f"hugetlb.{size}.max", str(limit)


def _or_max(value: int) -> str:
    return "max" if value == _UNLIMITED else str(value)


def weight_of(shares: int) -> int:
    """A weight of v2, 1 to 10000, for shares of v1, 2 to 262144: the runtimes' formula."""
    return 1 + (shares - 2) * 9999 // 262142


def io_weight_of(weight: int) -> int:
    """A weight of v2, 1 to 10000, for one of v1, 10 to 1000: the runtimes' formula."""
    return 1 + (weight - 10) * 9999 // 990
