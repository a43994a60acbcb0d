"""CRI's RuntimeService: which method is answered by what."""

from __future__ import annotations

from carob.errors import Unsupported
from carob.service.cri import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Any

    import grpc
    from google.protobuf.message import Message

    from carob.service.calls import Calls
    from carob.service.cri.container_events import ContainerEvents
    from carob.service.cri.containers import Containers
    from carob.service.cri.figures import Figures
    from carob.service.cri.info import RuntimeInfo
    from carob.service.cri.sandboxes import Sandboxes
    from carob.service.cri.streams import Streams

SERVICE = "runtime.v1.RuntimeService"


class RuntimeService:
    """The methods, each a coroutine of one of the parts."""

    def __init__(
        self,
        info: RuntimeInfo,
        sandboxes: Sandboxes,
        containers: Containers,
        streams: Streams,
        figures: Figures,
        events: ContainerEvents,
    ) -> None:
        self._unary: dict[str, Callable[[Any], Awaitable[Message]]] = {
            "Version": info.version,
            "Status": info.status,
            "RuntimeConfig": info.runtime_config,
            "UpdateRuntimeConfig": info.update_runtime_config,
            "RunPodSandbox": sandboxes.run,
            "StopPodSandbox": sandboxes.stop,
            "RemovePodSandbox": sandboxes.remove,
            "PodSandboxStatus": sandboxes.status,
            "ListPodSandbox": sandboxes.list_all,
            "UpdatePodSandboxResources": sandboxes.update,
            "CreateContainer": containers.create,
            "StartContainer": containers.start,
            "StopContainer": containers.stop,
            "RemoveContainer": containers.remove,
            "UpdateContainerResources": containers.update,
            "ReopenContainerLog": containers.reopen_log,
            "ContainerStatus": containers.status,
            "ListContainers": containers.list_all,
            "ExecSync": streams.exec_sync,
            "Exec": streams.exec,
            "Attach": streams.attach,
            "PortForward": streams.port_forward,
            "ContainerStats": figures.container,
            "ListContainerStats": figures.containers,
            "PodSandboxStats": figures.sandbox,
            "ListPodSandboxStats": figures.sandboxes,
            "ListMetricDescriptors": figures.descriptors,
            "ListPodSandboxMetrics": figures.metrics,
        }
        self._streams: dict[str, Callable[[Any], AsyncGenerator[Message, None]]] = {
            "GetContainerEvents": events.listen,
            "StreamPodSandboxes": sandboxes.stream,
            "StreamContainers": containers.stream,
            "StreamContainerStats": figures.stream_containers,
            "StreamPodSandboxStats": figures.stream_sandboxes,
            "StreamPodSandboxMetrics": figures.stream_metrics,
        }

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        """The methods by name; what carob has no answer to says so."""
        found = {}
        for method in api.DESCRIPTOR.services_by_name["RuntimeService"].methods:
            name, request = method.name, getattr(api, method.input_type.name)
            if name in self._streams:
                found[name] = calls.stream(f"{SERVICE}/{name}", request, self._streams[name])
            else:
                answer = self._unary.get(name, _unsupported(name))
                found[name] = calls.unary(f"{SERVICE}/{name}", request, answer)
        return found


def _unsupported(name: str) -> Callable[[Any], Awaitable[Message]]:
    async def refuse(_: Any) -> Message:
        raise Unsupported(f"carob does not do {name}")

    return refuse
