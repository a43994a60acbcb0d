"""The metrics of pods and containers, by cAdvisor's names, which readers of the kubelet's know. Pure."""

from __future__ import annotations

from carob.service.cri import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from carob.engine.observe.status import AppStatus
    from carob.engine.usage.figures import AppFigures, PodFigures

_BASE = ("pod", "namespace", "container", "id", "image")
_S = 1_000_000_000
_C, _G = api.COUNTER, api.GAUGE

# name: (kind, what of the figures, divided by, help)
_COUNTED: dict[str, tuple[api.MetricType.ValueType, str, int, str]] = {
    "container_cpu_usage_seconds_total": (_C, "cpu_ns", _S, "processor time, in seconds"),
    "container_cpu_user_seconds_total": (_C, "cpu_user_ns", _S, "of it in programs, in seconds"),
    "container_cpu_system_seconds_total": (_C, "cpu_system_ns", _S, "of it in the kernel, in seconds"),
    "container_cpu_cfs_periods_total": (_C, "periods", 1, "periods of the quota that have passed"),
    "container_cpu_cfs_throttled_periods_total": (_C, "throttled_periods", 1, "of them with a wait"),
    "container_cpu_cfs_throttled_seconds_total": (_C, "throttled_ns", _S, "time waited for it, in seconds"),
    "container_memory_usage_bytes": (_G, "memory_bytes", 1, "memory, the page cache included"),
    "container_memory_max_usage_bytes": (_G, "memory_max_bytes", 1, "the most memory that there was"),
    "container_memory_working_set_bytes": (_G, "working_set_bytes", 1, "memory that could not go at once"),
    "container_memory_cache": (_G, "cache_bytes", 1, "page cache, in bytes"),
    "container_memory_rss": (_G, "rss_bytes", 1, "anonymous memory, in bytes"),
    "container_memory_kernel_usage": (_G, "kernel_bytes", 1, "the kernel's memory for it, in bytes"),
    "container_memory_mapped_file": (_G, "mapped_bytes", 1, "files mapped into memory, in bytes"),
    "container_memory_swap": (_G, "swap_bytes", 1, "swap, in bytes"),
    "container_memory_failcnt": (_C, "limit_hits", 1, "how often the limit of memory was reached"),
    "container_oom_events_total": (_C, "oom_kills", 1, "processes killed for want of memory"),
    "container_processes": (_G, "processes", 1, "processes"),
    "container_threads": (_G, "threads", 1, "threads"),
    "container_threads_max": (_G, "threads_limit", 1, "the most threads that are allowed; 0 for any number"),
    "container_file_descriptors": (_G, "descriptors", 1, "open file descriptors"),
    "container_sockets": (_G, "sockets", 1, "open sockets"),
    "container_spec_cpu_period": (_G, "cpu_period_us", 1, "the quota's period, in microseconds"),
    "container_spec_cpu_quota": (_G, "cpu_quota_us", 1, "the quota of a period, in microseconds"),
    "container_spec_cpu_shares": (_G, "cpu_shares", 1, "the part of processors that are short"),
    "container_spec_memory_limit_bytes": (_G, "memory_limit_bytes", 1, "the limit of memory; 0 for none"),
    "container_spec_memory_reservation_limit_bytes": (
        _G, "memory_reservation_bytes", 1, "what is left where memory is short; 0 for nothing",
    ),
    "container_spec_memory_swap_limit_bytes": (
        _G, "memory_swap_limit_bytes", 1, "the limit of swap, on cgroup v1 with memory; 0 for none",
    ),
}  # fmt: skip
_TIMES = {
    "container_last_seen": "when this was looked at, in seconds since 1970",
    "container_start_time_seconds": "when it was started, in seconds since 1970",
}
_FAILURES = "container_memory_failures_total"
_FILES = {
    "container_fs_usage_bytes": "what its own files take",
    "container_fs_limit_bytes": "the size of the file system that they are on",
    "container_fs_inodes_total": "the inodes of that file system",
    "container_fs_inodes_free": "those that are free",
}
_DISKS = {
    "container_fs_reads_bytes_total": ("read_bytes", "bytes read from a disk"),
    "container_fs_writes_bytes_total": ("written_bytes", "bytes written to a disk"),
    "container_fs_reads_total": ("reads", "reads from a disk"),
    "container_fs_writes_total": ("writes", "writes to a disk"),
}
_BLOCK = "container_blkio_device_usage_total"
_NETWORK = {
    f"container_network_{way}_{name}_total": (f"{way}_{field}", f"{words} that were {done}")
    for way, done in (("receive", "received"), ("transmit", "sent"))
    for name, field, words in (
        ("bytes", "bytes", "bytes"),
        ("packets", "packets", "packets"),
        ("packets_dropped", "dropped", "packets that were dropped instead of those"),
        ("errors", "errors", "errors with those"),
    )
}


class FileSystem:
    """What statvfs(3) says of the file system that apps' own files are on."""

    __slots__ = ("free_inodes", "inodes", "size_bytes")

    def __init__(self, size_bytes: int, inodes: int, free_inodes: int) -> None:
        self.size_bytes = size_bytes
        self.inodes = inodes
        self.free_inodes = free_inodes


def descriptors() -> list[api.MetricDescriptor]:
    """All metrics that there are."""
    return [api.MetricDescriptor(name=name, help=text, label_keys=keys) for name, text, keys in _described()]


def _described() -> Iterator[tuple[str, str, Sequence[str]]]:
    for name, (_, _, _, text) in _COUNTED.items():
        yield name, text, _BASE
    for name, text in _TIMES.items():
        yield name, text, _BASE
    yield _FAILURES, "page faults", (*_BASE, "failure_type", "scope")
    for name, text in _FILES.items():
        yield name, text, (*_BASE, "device")
    for name, (_, text) in _DISKS.items():
        yield name, text, (*_BASE, "device")
    yield (
        _BLOCK,
        "bytes read from a disk and written to it",
        (*_BASE, "device", "major", "minor", "operation"),
    )
    for name, (_, text) in _NETWORK.items():
        yield name, text, (*_BASE, "interface")


def pod_metrics(found: PodFigures, labels: Sequence[str]) -> list[api.Metric]:
    """Those of a pod as a whole: its network's. ``labels`` are the values of the five that all have."""
    return [
        _metric(name, _C, found.time_ns, (*labels, interface), counted[field])
        for interface, counted in sorted(found.interfaces.items())
        for name, (field, _) in _NETWORK.items()
    ]


def container_metrics(
    app: AppStatus, figures: AppFigures, files: FileSystem, time_ns: int, labels: Sequence[str]
) -> list[api.Metric]:
    """Those of a container; what this host does not count is left out."""
    counted = figures.counted
    found = [
        _metric(name, kind, time_ns, labels, counted[field] // divisor)
        for name, (kind, field, divisor, _) in _COUNTED.items()
        if field in counted
    ]
    times = (time_ns, app.started_ns or 0)
    found += [_metric(name, _G, time_ns, labels, at // _S) for name, at in zip(_TIMES, times, strict=True)]
    for failure, field in (("pgfault", "faults"), ("pgmajfault", "major_faults")):
        if field in counted:
            found.append(_metric(_FAILURES, _C, time_ns, (*labels, failure, "container"), counted[field]))
    values = (figures.written_bytes, files.size_bytes, files.inodes, files.free_inodes)
    for name, value in zip(_FILES, values, strict=True):
        found.append(_metric(name, _G, time_ns, (*labels, "/"), value))
    for disk in figures.disks:
        for name, (field, _) in _DISKS.items():
            found.append(_metric(name, _C, time_ns, (*labels, disk.device), getattr(disk, field)))
        major, _, minor = disk.device.partition(":")
        for operation, value in (("Read", disk.read_bytes), ("Write", disk.written_bytes)):
            names = (*labels, disk.device, major, minor, operation)
            found.append(_metric(_BLOCK, _C, time_ns, names, value))
    return found


def _metric(
    name: str, kind: api.MetricType.ValueType, time_ns: int, labels: Sequence[str], value: int
) -> api.Metric:
    return api.Metric(
        name=name,
        timestamp=time_ns,
        metric_type=kind,
        label_values=labels,
        value=api.UInt64Value(value=value),
    )
