"""carob's engine and its pods as coroutines, for programs with an asyncio event loop.

    from carob import App
    from carob.aio import Engine

    async with Engine() as engine:
        pod = await engine.run(App("busybox", ["sh", "-c", "echo hi; exit 3"]), tied=True)
        async with pod:
            print((await pod.wait(timeout_s=10)).apps)

The verbs are those of ``carob.Engine`` and ``carob.PodHandle``, with their arguments, results and errors.
What waits (``wait``, ``wait_ready``, ``stop``, ``exec``, ``follow_logs``) waits on the loop and costs no
thread. What works takes a step in one of the engine's own threads, of which there are at most
``max_threads``.

**Cancellation.** A cancelled wait ends at once. A step that has begun is never torn: a cancelled call ends
when its step has, and then the step's result is there as a whole or not at all. ``run`` and ``prepare``
leave none: their pod is removed. The others are carried through, so a pod that was being removed is gone.
A call whose step had not begun has done nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.aio.engine import Engine as Engine
    from carob.aio.execution import Execution as Execution
    from carob.aio.handle import PodHandle as PodHandle
    from carob.aio.images import Images as Images
    from carob.aio.logs import Logs as Logs
    from carob.aio.port_forward import PortForward as PortForward
    from carob.aio.volumes import Volumes as Volumes

__all__ = ["Engine", "Execution", "Images", "Logs", "PodHandle", "PortForward", "Volumes"]

_MODULES = {
    "Engine": "engine",
    "Execution": "execution",
    "Images": "images",
    "Logs": "logs",
    "PodHandle": "handle",
    "PortForward": "port_forward",
    "Volumes": "volumes",
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
