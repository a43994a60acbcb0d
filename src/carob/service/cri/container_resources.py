"""From CRI's resources to ``Resources``, and back. Pure."""

from __future__ import annotations

from carob.engine.request.resources import UNLIMITED, Resources
from carob.errors import InvalidInput, Unsupported
from carob.service.cri import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_MOST_SHARES = 262144
_LEAST_SHARES = 2
_UNITS = ("KB", "MB", "GB")


def resources(asked: api.LinuxContainerResources, *, pids: int | None = None) -> Resources | None:
    """What a container may take; 0 and empty are not said, -1 is no limit. ``None`` where nothing is said.
    ``pids`` is what is said of these where Kubernetes says nothing.

    Raises ``InvalidInput``, ``Unsupported``.
    """
    words: dict[str, Any] = {} if pids is None else {"pids": pids}
    if asked.cpu_quota:
        words["cpu_quota_us"] = max(asked.cpu_quota, UNLIMITED)
    if asked.cpu_period:
        words["cpu_period_us"] = asked.cpu_period
    if asked.cpu_shares:
        words["cpu_shares"] = min(max(asked.cpu_shares, _LEAST_SHARES), _MOST_SHARES)
    if asked.memory_limit_in_bytes:
        words["memory_bytes"] = max(asked.memory_limit_in_bytes, UNLIMITED)
    if asked.memory_swap_limit_in_bytes:
        words["memory_swap_bytes"] = max(asked.memory_swap_limit_in_bytes, UNLIMITED)
    if asked.cpuset_cpus:
        words["cpuset_cpus"] = asked.cpuset_cpus
    if asked.cpuset_mems:
        words["cpuset_mems"] = asked.cpuset_mems
    # The kubelet forbids all sizes of pages by name; a limit of nothing is what an app without limit has
    # of pages that the host has not got.
    if pages := {one.page_size: one.limit for one in asked.hugepage_limits if one.limit}:
        words["hugepages"] = pages
    words |= _unified(asked)
    return Resources(**words) if words else None


def _unified(asked: api.LinuxContainerResources) -> dict[str, Any]:
    """Of cgroup v2's own files, those that carob has a word for."""
    words: dict[str, Any] = {}
    for name, value in asked.unified.items():
        match name:
            case "memory.high" | "memory.min":
                continue  # the kubelet's memory quality of service: a wish
            case "memory.low":
                words["memory_reservation_bytes"] = _number(name, value)
            case "pids.max":
                words["pids"] = _number(name, value)
            case "memory.swap.max" if value == "0" and asked.memory_limit_in_bytes > 0:
                words["memory_swap_bytes"] = asked.memory_limit_in_bytes
            case "memory.oom.group":
                continue  # an app's processes end with it in any case
            case _:
                raise Unsupported(f"resources: carob has no word for {name}")
    return words


def _number(name: str, value: str) -> int:
    if value == "max":
        return UNLIMITED
    if not (value.isascii() and value.isdecimal() and len(value) < 20):
        raise InvalidInput(f"resources: {name} is a number or max, not {value!r}")
    return int(value)


def current_resources(
    asked: api.LinuxContainerResources, current: Mapping[str, Any]
) -> api.LinuxContainerResources:
    """What a container was given: as asked, or as it was updated since, which its configuration
    (config-linux.md, "Control groups") tells.
    """
    found = api.LinuxContainerResources()
    found.CopyFrom(asked)
    now = current.get("linux", {}).get("resources", {})
    cpu, memory = now.get("cpu", {}), now.get("memory", {})
    for field, value in (
        ("cpu_period", cpu.get("period")),
        ("cpu_quota", cpu.get("quota")),
        ("cpu_shares", cpu.get("shares")),
        ("cpuset_cpus", cpu.get("cpus")),
        ("cpuset_mems", cpu.get("mems")),
        ("memory_limit_in_bytes", memory.get("limit")),
        ("memory_swap_limit_in_bytes", memory.get("swap")),
    ):
        if value is not None:
            setattr(found, field, value)
    return found
