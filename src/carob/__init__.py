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
    from carob.engine.ends import AppEnd as AppEnd
    from carob.engine.ends import Exited as Exited
    from carob.engine.ends import OutOfMemory as OutOfMemory
    from carob.engine.ends import Signaled as Signaled
    from carob.engine.ends import Unknown as Unknown
    from carob.engine.engine import Engine as Engine
    from carob.engine.events import Event as Event
    from carob.engine.execution import Completed as Completed
    from carob.engine.execution import Execution as Execution
    from carob.engine.handle import PodEnd as PodEnd
    from carob.engine.handle import PodHandle as PodHandle
    from carob.engine.log_limits import LogLimits as LogLimits
    from carob.engine.mounts import EmptyVolume as EmptyVolume
    from carob.engine.mounts import File as File
    from carob.engine.mounts import ImageVolume as ImageVolume
    from carob.engine.mounts import MemoryVolume as MemoryVolume
    from carob.engine.mounts import Mount as Mount
    from carob.engine.mounts import NamedVolume as NamedVolume
    from carob.engine.network_status import NetworkStatus as NetworkStatus
    from carob.engine.networks import NetworkConfiguration as NetworkConfiguration
    from carob.engine.options import PodOptions as PodOptions
    from carob.engine.port_forward import PortForward as PortForward
    from carob.engine.request import App as App
    from carob.engine.resources import Resources as Resources
    from carob.engine.security import Device as Device
    from carob.engine.security import Security as Security
    from carob.engine.stats import PodStats as PodStats
    from carob.engine.status import AppStatus as AppStatus
    from carob.engine.status import PodStatus as PodStatus
    from carob.engine.top import ProcessInfo as ProcessInfo
    from carob.errors import CarobError as CarobError
    from carob.pod.state import State as State
    from carob.runtime.seccomp.call_set import CallSet as CallSet

__all__ = [
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
    "ProcessInfo",
    "Resources",
    "Security",
    "Signaled",
    "State",
    "Unknown",
    "__version__",
]

_MODULES = {
    "App": "engine.request",
    "AppEnd": "engine.ends",
    "AppStatus": "engine.status",
    "CallSet": "runtime.seccomp.call_set",
    "CarobError": "errors",
    "Completed": "engine.execution",
    "Device": "engine.security",
    "Engine": "engine.engine",
    "Execution": "engine.execution",
    "Exited": "engine.ends",
    "EmptyVolume": "engine.mounts",
    "File": "engine.mounts",
    "ImageVolume": "engine.mounts",
    "MemoryVolume": "engine.mounts",
    "Mount": "engine.mounts",
    "NamedVolume": "engine.mounts",
    "OutOfMemory": "engine.ends",
    "PodEnd": "engine.handle",
    "PodHandle": "engine.handle",
    "Event": "engine.events",
    "LogLimits": "engine.log_limits",
    "NetworkConfiguration": "engine.networks",
    "NetworkStatus": "engine.network_status",
    "PodOptions": "engine.options",
    "PodStats": "engine.stats",
    "PortForward": "engine.port_forward",
    "ProcessInfo": "engine.top",
    "PodStatus": "engine.status",
    "Resources": "engine.resources",
    "Security": "engine.security",
    "Signaled": "engine.ends",
    "State": "pod.state",
    "Unknown": "engine.ends",
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
