"""carob: pods without a daemon.

    from carob import App, Engine

    engine = Engine()
    with engine.run(App("busybox", ["sh", "-c", "echo hi; exit 3"])) as pod:
        print(pod.wait().apps)

Importing this package loads nothing; each name is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob._version import __version__ as __version__
    from carob.engine.engine import Engine as Engine
    from carob.engine.forward.port_forward import PortForward as PortForward
    from carob.engine.handle import PodEnd as PodEnd
    from carob.engine.handle import PodHandle as PodHandle
    from carob.engine.networks import NetworkConfiguration as NetworkConfiguration
    from carob.engine.observe.ends import AppEnd as AppEnd
    from carob.engine.observe.ends import Exited as Exited
    from carob.engine.observe.ends import OutOfMemory as OutOfMemory
    from carob.engine.observe.ends import Signaled as Signaled
    from carob.engine.observe.ends import Unknown as Unknown
    from carob.engine.observe.events import Event as Event
    from carob.engine.observe.networks import NetworkStatus as NetworkStatus
    from carob.engine.observe.status import AppStatus as AppStatus
    from carob.engine.observe.status import PodStatus as PodStatus
    from carob.engine.request.log_limits import LogLimits as LogLimits
    from carob.engine.request.mounts import EmptyVolume as EmptyVolume
    from carob.engine.request.mounts import File as File
    from carob.engine.request.mounts import ImageVolume as ImageVolume
    from carob.engine.request.mounts import MemoryVolume as MemoryVolume
    from carob.engine.request.mounts import Mount as Mount
    from carob.engine.request.mounts import NamedVolume as NamedVolume
    from carob.engine.request.options import AddOptions as AddOptions
    from carob.engine.request.options import PodOptions as PodOptions
    from carob.engine.request.pod import App as App
    from carob.engine.request.probes import Probe as Probe
    from carob.engine.request.resources import Resources as Resources
    from carob.engine.request.security import Device as Device
    from carob.engine.request.security import Security as Security
    from carob.engine.steer.execution import Completed as Completed
    from carob.engine.steer.execution import Execution as Execution
    from carob.engine.usage.stats import PodStats as PodStats
    from carob.engine.usage.top import ProcessInfo as ProcessInfo
    from carob.errors import CarobError as CarobError
    from carob.pod.state import State as State
    from carob.runtime.seccomp.call_set import CallSet as CallSet

__all__ = [
    "AddOptions",
    "App",
    "AppEnd",
    "AppStatus",
    "CallSet",
    "CarobError",
    "Completed",
    "Device",
    "EmptyVolume",
    "Engine",
    "Event",
    "Execution",
    "Exited",
    "File",
    "ImageVolume",
    "LogLimits",
    "MemoryVolume",
    "Mount",
    "NamedVolume",
    "NetworkConfiguration",
    "NetworkStatus",
    "OutOfMemory",
    "PodEnd",
    "PodHandle",
    "PodOptions",
    "PodStats",
    "PodStatus",
    "PortForward",
    "Probe",
    "ProcessInfo",
    "Resources",
    "Security",
    "Signaled",
    "State",
    "Unknown",
    "__version__",
]

_MODULES = {
    "AddOptions": "engine.request.options",
    "App": "engine.request.pod",
    "AppEnd": "engine.observe.ends",
    "AppStatus": "engine.observe.status",
    "CallSet": "runtime.seccomp.call_set",
    "CarobError": "errors",
    "Completed": "engine.steer.execution",
    "Device": "engine.request.security",
    "Engine": "engine.engine",
    "Execution": "engine.steer.execution",
    "Exited": "engine.observe.ends",
    "EmptyVolume": "engine.request.mounts",
    "File": "engine.request.mounts",
    "ImageVolume": "engine.request.mounts",
    "MemoryVolume": "engine.request.mounts",
    "Mount": "engine.request.mounts",
    "NamedVolume": "engine.request.mounts",
    "OutOfMemory": "engine.observe.ends",
    "PodEnd": "engine.handle",
    "PodHandle": "engine.handle",
    "Event": "engine.observe.events",
    "LogLimits": "engine.request.log_limits",
    "NetworkConfiguration": "engine.networks",
    "NetworkStatus": "engine.observe.networks",
    "PodOptions": "engine.request.options",
    "PodStats": "engine.usage.stats",
    "PortForward": "engine.forward.port_forward",
    "Probe": "engine.request.probes",
    "ProcessInfo": "engine.usage.top",
    "PodStatus": "engine.observe.status",
    "Resources": "engine.request.resources",
    "Security": "engine.request.security",
    "Signaled": "engine.observe.ends",
    "State": "pod.state",
    "Unknown": "engine.observe.ends",
    "__version__": "_version",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    loaded = __import__(f"{__name__}.{module}", fromlist=[name])
    value: object = getattr(loaded, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
