"""All that the kernel counts of a control group, by plain names, on v1 and v2 (cgroups(7), cgroup-v2.rst).

What this host does not count is not there. ::

    cpu_ns cpu_user_ns cpu_system_ns            processor time
    periods throttled_periods throttled_ns      of a quota
    cpu_period_us cpu_quota_us cpu_shares       as it is limited; no quota where there is none
    memory_bytes memory_max_bytes working_set_bytes cache_bytes rss_bytes kernel_bytes mapped_bytes swap_bytes
    memory_limit_bytes memory_reservation_bytes memory_swap_limit_bytes          0 where there is no limit
    limit_hits faults major_faults oom_kills
    threads threads_limit processes             no limit is 0
"""

from __future__ import annotations

from carob.linux import cgroup
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Figures = dict[str, int]

_NO_LIMIT = 1 << 62
"""v1 says "no limit" with the largest number of whole pages."""
_USUAL_PERIOD_US = 100_000


class BlockUse:
    """What a group read from and wrote to one disk, ``device`` by its numbers: bytes, and operations."""

    __slots__ = ("device", "read_bytes", "reads", "writes", "written_bytes")

    def __init__(self, device: str) -> None:
        self.device = device
        self.read_bytes = self.written_bytes = self.reads = self.writes = 0


def read(group: str) -> Figures | None:
    """The figures of a group such as ``/carob/<uuid>``; ``None`` where there is no such group."""
    where = _places(group)
    found = _read_v2(where[cgroup.V2]) if cgroup.V2 in where else _read_v1(where)
    processes = members(group)
    if not found and not processes:
        return None
    found["processes"] = len(processes)
    return found


def members(group: str) -> list[int]:
    """The processes that are in a group itself."""
    for top in _places(group).values():
        text = _text(f"{top}/cgroup.procs")
        if text is not None:
            return [int(word) for word in text.split()]
    return []


def block_use(group: str) -> list[BlockUse]:
    """What it used of each disk; empty where that is not counted."""
    where = _places(group)
    if cgroup.V2 in where:
        return _block_use_v2(_text(f"{where[cgroup.V2]}/io.stat") or "")
    top = where.get("blkio")
    if top is None:
        return []
    found: dict[str, BlockUse] = {}
    for file, reading, writing in (
        ("io_service_bytes_recursive", "read_bytes", "written_bytes"),
        ("io_serviced_recursive", "reads", "writes"),
    ):
        for line in (_text(f"{top}/blkio.throttle.{file}") or "").splitlines():
            words = line.split()
            name = {"Read": reading, "Write": writing}.get(words[1]) if len(words) == 3 else None
            if name is not None:
                setattr(found.setdefault(words[0], BlockUse(words[0])), name, int(words[2]))
    return list(found.values())


def _block_use_v2(text: str) -> list[BlockUse]:
    found = []
    for line in text.splitlines():
        device, *fields = line.split()
        pairs = dict(field.split("=", 1) for field in fields if "=" in field)
        one = BlockUse(device)
        one.read_bytes, one.written_bytes = int(pairs.get("rbytes", 0)), int(pairs.get("wbytes", 0))
        one.reads, one.writes = int(pairs.get("rios", 0)), int(pairs.get("wios", 0))
        found.append(one)
    return found


def _places(group: str) -> dict[str, str]:
    """The group's directories by controller; of v2, which has one for all, by ``""``."""
    names = cgroup.hierarchies()
    if names == [cgroup.V2]:
        return {cgroup.V2: cgroup.directory(cgroup.V2, group)}
    return {
        controller: cgroup.directory(name, group)
        for name in names
        if name != cgroup.UNIFIED
        for controller in name.split(",")
    }


def _read_v1(where: Mapping[str, str]) -> Figures:
    cpu, usage, memory, pids = (where.get(name, "") for name in ("cpu", "cpuacct", "memory", "pids"))
    found: Figures = {}
    found |= _numbers(usage, {
        "cpu_ns": "cpuacct.usage", "cpu_user_ns": "cpuacct.usage_user", "cpu_system_ns": "cpuacct.usage_sys",
    })  # fmt: skip
    found |= _renamed(f"{cpu}/cpu.stat", {
        "nr_periods": "periods", "nr_throttled": "throttled_periods", "throttled_time": "throttled_ns",
    })  # fmt: skip
    found |= _numbers(cpu, {
        "cpu_period_us": "cpu.cfs_period_us", "cpu_quota_us": "cpu.cfs_quota_us", "cpu_shares": "cpu.shares",
    })  # fmt: skip
    found |= _numbers(memory, {
        "memory_bytes": "memory.usage_in_bytes", "memory_max_bytes": "memory.max_usage_in_bytes",
        "kernel_bytes": "memory.kmem.usage_in_bytes", "limit_hits": "memory.failcnt",
        "memory_limit_bytes": "memory.limit_in_bytes",
        "memory_reservation_bytes": "memory.soft_limit_in_bytes",
        "memory_swap_limit_bytes": "memory.memsw.limit_in_bytes",
    })  # fmt: skip
    found |= _renamed(f"{memory}/memory.stat", {
        "total_cache": "cache_bytes", "total_rss": "rss_bytes", "total_mapped_file": "mapped_bytes",
        "total_swap": "swap_bytes", "total_pgfault": "faults", "total_pgmajfault": "major_faults",
        "total_inactive_file": "inactive_bytes",
    })  # fmt: skip
    found |= _renamed(f"{memory}/memory.oom_control", {"oom_kill": "oom_kills"})
    found |= _numbers(pids, {"threads": "pids.current", "threads_limit": "pids.max"})
    return _finished(found)


def _read_v2(top: str) -> Figures:
    found: Figures = {}
    stat = _renamed(f"{top}/cpu.stat", {
        "usage_usec": "cpu_ns", "user_usec": "cpu_user_ns", "system_usec": "cpu_system_ns",
        "throttled_usec": "throttled_ns",
    })  # fmt: skip
    found |= {name: value * 1000 for name, value in stat.items()}
    found |= _renamed(f"{top}/cpu.stat", {"nr_periods": "periods", "nr_throttled": "throttled_periods"})
    found.setdefault("periods", 0)
    found.setdefault("throttled_periods", 0)
    found.setdefault("throttled_ns", 0)
    quota, _, period = (_text(f"{top}/cpu.max") or "").strip().partition(" ")
    found["cpu_period_us"] = int(period) if period.isdecimal() else _USUAL_PERIOD_US
    if quota.isdecimal():
        found["cpu_quota_us"] = int(quota)
    weight = (_text(f"{top}/cpu.weight") or "").strip()
    if weight.isdecimal():  # the runtimes' own way between the two (crun.1, "CPU controller")
        found["cpu_shares"] = 2 + (int(weight) - 1) * 262142 // 9999
    found |= _numbers(top, {
        "memory_bytes": "memory.current", "memory_max_bytes": "memory.peak",
        "swap_bytes": "memory.swap.current",
        "memory_limit_bytes": "memory.max", "memory_reservation_bytes": "memory.low",
        "memory_swap_limit_bytes": "memory.swap.max",
    })  # fmt: skip
    found |= _renamed(f"{top}/memory.stat", {
        "file": "cache_bytes", "anon": "rss_bytes", "kernel": "kernel_bytes", "file_mapped": "mapped_bytes",
        "pgfault": "faults", "pgmajfault": "major_faults", "inactive_file": "inactive_bytes",
    })  # fmt: skip
    found |= _renamed(f"{top}/memory.events", {"oom_kill": "oom_kills", "max": "limit_hits"})
    found |= _numbers(top, {"threads": "pids.current", "threads_limit": "pids.max"})
    return _finished(found)


def _finished(found: Figures) -> Figures:
    inactive = found.pop("inactive_bytes", None)
    if inactive is not None and "memory_bytes" in found:
        found["working_set_bytes"] = max(0, found["memory_bytes"] - inactive)
    return found


def _numbers(top: str, files: Mapping[str, str]) -> Figures:
    """The one number of each file that is there; 0 for "max", and for what stands for no limit."""
    found = {}
    for name, file in files.items():
        text = (_text(f"{top}/{file}") or "").strip()
        if text == "max":
            found[name] = 0
        elif text.isdecimal():
            found[name] = int(text) if int(text) < _NO_LIMIT else 0
    return found


def _renamed(path: str, names: Mapping[str, str]) -> Figures:
    """A file of lines such as ``inactive_file 4096``, as far as it has names that are wanted."""
    pairs: Iterable[list[str]] = (line.split() for line in (_text(path) or "").splitlines())
    return {
        names[pair[0]]: int(pair[1])
        for pair in pairs
        if len(pair) == 2 and pair[0] in names and pair[1].isdecimal()
    }


def _text(path: str) -> str | None:
    try:
        return read_file(path).decode("ascii", "replace")
    except OSError:
        return None
