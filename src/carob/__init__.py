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
    from carob.engine.execution import Completed as Completed
    from carob.engine.execution import Execution as Execution
    from carob.engine.handle import PodEnd as PodEnd
    from carob.engine.handle import PodHandle as PodHandle
    from carob.engine.options import PodOptions as PodOptions
    from carob.engine.request import App as App
    from carob.engine.request import Mount as Mount
    from carob.engine.status import AppStatus as AppStatus
    from carob.engine.status import PodStatus as PodStatus
    from carob.errors import CarobError as CarobError
    from carob.pod.state import State as State

__all__ = [
    "App",
    "AppEnd",
    "AppStatus",
    "CarobError",
    "Completed",
    "Engine",
    "Execution",
    "Exited",
    "Mount",
    "OutOfMemory",
    "PodEnd",
    "PodHandle",
    "PodOptions",
    "PodStatus",
    "Signaled",
    "State",
    "Unknown",
    "__version__",
]

_MODULES = {
    "App": "engine.request",
    "AppEnd": "engine.ends",
    "AppStatus": "engine.status",
    "CarobError": "errors",
    "Completed": "engine.execution",
    "Engine": "engine.engine",
    "Execution": "engine.execution",
    "Exited": "engine.ends",
    "Mount": "engine.request",
    "OutOfMemory": "engine.ends",
    "PodEnd": "engine.handle",
    "PodHandle": "engine.handle",
    "PodOptions": "engine.options",
    "PodStatus": "engine.status",
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
