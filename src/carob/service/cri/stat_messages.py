"""What containers and sandboxes use, as CRI's messages. Pure."""

from __future__ import annotations

from carob.service.cri import api_pb2 as api
from carob.service.cri import container_messages, sandbox_messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.observe.status import AppStatus, PodStatus
    from carob.engine.usage.figures import AppFigures, PodFigures

_FIRST_INTERFACE = "eth0"


def container_stats(
    view: PodStatus, app: AppStatus, found: PodFigures | None, *, mountpoint: str
) -> api.ContainerStats:
    """Of one container; of one that does not run, only who it is."""
    message = api.ContainerStats(attributes=container_messages.attributes(view, app))
    figures = found.apps.get(app.name) if found is not None else None
    if found is None or figures is None:
        return message
    message.cpu.CopyFrom(_cpu(figures.counted, found.time_ns))
    message.memory.CopyFrom(_memory(figures.counted, found.time_ns))
    message.swap.CopyFrom(_swap(figures.counted, found.time_ns))
    message.writable_layer.CopyFrom(_writable_layer(figures, found.time_ns, mountpoint))
    return message


def sandbox_stats(view: PodStatus, found: PodFigures | None, *, mountpoint: str) -> api.PodSandboxStats:
    """Of one sandbox with its containers; of one that does not run, only who it is."""
    message = api.PodSandboxStats(attributes=sandbox_messages.attributes(view))
    if found is None:
        return message
    linux = message.linux
    linux.cpu.CopyFrom(_cpu(found.counted, found.time_ns))
    linux.memory.CopyFrom(_memory(found.counted, found.time_ns))
    linux.network.CopyFrom(_network(found))
    linux.process.timestamp = found.time_ns
    linux.process.process_count.value = found.counted.get("threads", 0)
    linux.containers.extend(
        [
            container_stats(view, app, found, mountpoint=mountpoint)
            for app in view.apps
            if app.name in found.apps
        ]
    )
    return message


def _cpu(counted: dict[str, int], time_ns: int) -> api.CpuUsage:
    message = api.CpuUsage(timestamp=time_ns)
    _set(message.usage_core_nano_seconds, counted.get("cpu_ns"))
    return message


def _memory(counted: dict[str, int], time_ns: int) -> api.MemoryUsage:
    message = api.MemoryUsage(timestamp=time_ns)
    working_set = counted.get("working_set_bytes")
    _set(message.working_set_bytes, working_set)
    if working_set is not None and (limit := counted.get("memory_limit_bytes")):
        message.available_bytes.value = max(0, limit - working_set)
    _set(message.usage_bytes, counted.get("memory_bytes"))
    _set(message.rss_bytes, counted.get("rss_bytes"))
    _set(message.page_faults, counted.get("faults"))
    _set(message.major_page_faults, counted.get("major_faults"))
    return message


def _swap(counted: dict[str, int], time_ns: int) -> api.SwapUsage:
    message = api.SwapUsage(timestamp=time_ns)
    _set(message.swap_usage_bytes, counted.get("swap_bytes"))
    return message


def _writable_layer(figures: AppFigures, time_ns: int, mountpoint: str) -> api.FilesystemUsage:
    message = api.FilesystemUsage(timestamp=time_ns)
    message.fs_id.mountpoint = mountpoint
    message.used_bytes.value = figures.written_bytes
    message.inodes_used.value = figures.written_inodes
    return message


def _network(found: PodFigures) -> api.NetworkUsage:
    message = api.NetworkUsage(timestamp=found.time_ns)
    for name, counted in sorted(found.interfaces.items()):
        if name == _FIRST_INTERFACE:
            _add_interface(message.default_interface, name, counted)
        else:
            _add_interface(message.interfaces.add(), name, counted)
    return message


def _add_interface(message: api.NetworkInterfaceUsage, name: str, counted: dict[str, int]) -> None:
    message.name = name
    message.rx_bytes.value = counted["receive_bytes"]
    message.rx_errors.value = counted["receive_errors"]
    message.tx_bytes.value = counted["transmit_bytes"]
    message.tx_errors.value = counted["transmit_errors"]


def _set(message: api.UInt64Value, value: int | None) -> None:
    if value is not None:
        message.value = value
