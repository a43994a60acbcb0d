"""What a control group has used, on v1, v2 and both at once (cgroups(7), the kernel's cgroup-v2.rst)."""

from __future__ import annotations

from carob.linux import cgroup
from carob.linux.files import read_file

_NO_LIMIT = 1 << 62
"""v1 says "no limit" with the largest number of whole pages."""


class Usage:
    """One group with all below it; ``None`` is what this host does not count.

    ``cpu_ns`` is processor time. ``memory_bytes`` has the page cache in it, ``working_set_bytes`` not what of
    that could go at once (as Kubernetes counts). Limits are ``None`` where there is none. ``io_read_bytes``
    and ``io_written_bytes`` are of block devices.
    """

    __slots__ = (
        "cpu_ns", "io_read_bytes", "io_written_bytes", "memory_bytes", "memory_limit_bytes", "pids",
        "pids_limit", "working_set_bytes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.cpu_ns: int | None = None
        self.memory_bytes: int | None = None
        self.working_set_bytes: int | None = None
        self.memory_limit_bytes: int | None = None
        self.pids: int | None = None
        self.pids_limit: int | None = None
        self.io_read_bytes: int | None = None
        self.io_written_bytes: int | None = None

    def __repr__(self) -> str:
        return "Usage(" + ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__) + ")"


def read(group: str) -> Usage | None:
    """The usage of a group such as ``/carob/<uuid>``; ``None`` where there is no such group."""
    names = cgroup.hierarchies()
    if names == [cgroup.V2]:
        return _read_v2(cgroup.directory(cgroup.V2, group))
    where = {
        controller: cgroup.directory(name, group)
        for name in names
        if name != cgroup.UNIFIED
        for controller in name.split(",")
    }
    return _read_v1(where)


def _read_v2(top: str) -> Usage | None:
    if _text(f"{top}/cgroup.procs") is None:
        return None
    usage = Usage()
    micro = _keys(f"{top}/cpu.stat").get("usage_usec")
    usage.cpu_ns = None if micro is None else micro * 1000
    usage.memory_bytes = _number(f"{top}/memory.current")
    usage.memory_limit_bytes = _number(f"{top}/memory.max")
    _set_working_set(usage, _keys(f"{top}/memory.stat").get("inactive_file"))
    usage.pids = _number(f"{top}/pids.current")
    usage.pids_limit = _number(f"{top}/pids.max")
    lines = _text(f"{top}/io.stat")
    if lines is not None:
        fields = [field.partition("=") for line in lines.splitlines() for field in line.split()[1:]]
        usage.io_read_bytes = sum(int(value) for key, _, value in fields if key == "rbytes")
        usage.io_written_bytes = sum(int(value) for key, _, value in fields if key == "wbytes")
    return usage


def _read_v1(where: dict[str, str]) -> Usage | None:
    if not any(_text(f"{top}/cgroup.procs") is not None for top in where.values()):
        return None
    usage = Usage()
    usage.cpu_ns = _number(f"{where.get('cpuacct', '')}/cpuacct.usage")
    memory, pids = where.get("memory", ""), where.get("pids", "")
    usage.memory_bytes = _number(f"{memory}/memory.usage_in_bytes")
    usage.memory_limit_bytes = _number(f"{memory}/memory.limit_in_bytes")
    _set_working_set(usage, _keys(f"{memory}/memory.stat").get("total_inactive_file"))
    usage.pids = _number(f"{pids}/pids.current")
    usage.pids_limit = _number(f"{pids}/pids.max")
    lines = _text(f"{where.get('blkio', '')}/blkio.throttle.io_service_bytes_recursive")
    if lines is not None:
        rows = [row for line in lines.splitlines() if len(row := line.split()) == 3]
        usage.io_read_bytes = sum(int(row[2]) for row in rows if row[1] == "Read")
        usage.io_written_bytes = sum(int(row[2]) for row in rows if row[1] == "Write")
    return usage


def _set_working_set(usage: Usage, inactive_bytes: int | None) -> None:
    if usage.memory_bytes is not None and inactive_bytes is not None:
        usage.working_set_bytes = max(0, usage.memory_bytes - inactive_bytes)


def _text(path: str) -> str | None:
    try:
        return read_file(path).decode("ascii", "replace")
    except OSError:
        return None


def _number(path: str) -> int | None:
    """The one number of a file; ``None`` for "max" and for what is not there."""
    text = (_text(path) or "").strip()
    number = int(text) if text.isdecimal() else None
    return None if number is None or number >= _NO_LIMIT else number


def _keys(path: str) -> dict[str, int]:
    """A file of lines such as ``inactive_file 4096``."""
    pairs = (line.split() for line in (_text(path) or "").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
