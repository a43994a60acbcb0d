"""Limits of an app as the OCI runtime takes them: ``linux.resources`` of runtime-spec, config-linux.md. Pure.

A *settled* document is what ``engine/prepare/limiting.py`` makes of a caller's ``Resources``: the same keys,
with devices by their numbers (``"8:0"``) and the swap that memory brings with it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_MOST_PIDS = 1 << 22  # as many as any machine can have: PID_MAX_LIMIT, linux/threads.h
_CPU = {
    "cpu_shares": "shares",
    "cpu_quota_us": "quota",
    "cpu_period_us": "period",
    "cpuset_cpus": "cpus",
    "cpuset_mems": "mems",
}
_MEMORY = {"memory_bytes": "limit", "memory_swap_bytes": "swap", "memory_reservation_bytes": "reservation"}
_RATES = {
    "rbps": "throttleReadBpsDevice",
    "wbps": "throttleWriteBpsDevice",
    "riops": "throttleReadIOPSDevice",
    "wiops": "throttleWriteIOPSDevice",
}


def section(settled: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of ``linux.resources`` that a settled document makes."""
    found: dict[str, Any] = {}
    for key, names in (("cpu", _CPU), ("memory", _MEMORY)):
        part = {name: settled[argument] for argument, name in names.items() if argument in settled}
        if part:
            found[key] = part
    if "pids" in settled:
        # -1 is no limit; crun 1.8 writes it as it is, which the kernel refuses.
        found["pids"] = {"limit": settled["pids"] if settled["pids"] > 0 else _MOST_PIDS}
    if block := _block(settled):
        found["blockIO"] = block
    if "hugepages" in settled:
        found["hugepageLimits"] = [
            {"pageSize": size, "limit": limit} for size, limit in settled["hugepages"].items()
        ]
    return found


def _block(settled: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "io_weight" in settled:
        found["weight"] = settled["io_weight"]
    for device, rates in settled.get("io_max", {}).items():
        major, _, minor = device.partition(":")
        for name, rate in rates.items():
            entry = {"major": int(major), "minor": int(minor), "rate": rate}
            found.setdefault(_RATES[name], []).append(entry)
    return found
