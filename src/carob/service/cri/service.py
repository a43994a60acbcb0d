"""CRI as a part of the API service: a gRPC server of its own, on a socket of its own, for its user alone."""

from __future__ import annotations

import os

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from carob.aio.engine import Engine as AioEngine
from carob.aio.steps import Steps
from carob.service.calls import Calls
from carob.service.cri.container_events import ContainerEvents
from carob.service.cri.containers import Containers
from carob.service.cri.figures import Figures
from carob.service.cri.images import SERVICE as IMAGE_SERVICE
from carob.service.cri.images import ImageService
from carob.service.cri.info import RuntimeInfo
from carob.service.cri.reservations import sweep
from carob.service.cri.runtime import SERVICE as RUNTIME_SERVICE
from carob.service.cri.runtime import RuntimeService
from carob.service.cri.sandboxes import Sandboxes
from carob.service.cri.streams import Streams
from carob.service.listening import listen_at
from carob.service.settings import Limits
from carob.service.streaming.pods import Pods
from carob.service.streaming.server import StreamingServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from carob.engine.engine import Engine
    from carob.service.journal import Journal
    from carob.service.metrics import CallMetrics
    from carob.service.settings import CriSettings

_LAST_BYTES_S = 0.2
_CHANGES, _PULLS, _EXECS = 32, 16, 64
"""Threads: what is being made, pulled, and begun in containers at one time."""
_SOCKET_MODE = 0o600
_NETWORKS = "/etc/cni/net.d"
"""Where those put their networks' configurations that Kubernetes runs for it."""
_MESSAGE_BYTES = 16 << 20
"""What the kubelet sends and takes at most (pkg/kubelet/cri/remote)."""


class CriService:
    """The service, from ``start`` to ``stop``; what is around it is the stack's."""

    def __init__(
        self,
        engine: Engine,
        settings: CriSettings,
        limits: Limits,
        *,
        metrics: CallMetrics,
        journal: Journal,
        stack: AsyncExitStack,
    ) -> None:
        """Listens already, and answers nobody. Raises as ``listen`` does."""
        os.environ.setdefault("NETCONFPATH", _NETWORKS)
        limits = Limits(
            calls=limits.calls,
            streams=limits.streams,
            request_bytes=max(limits.request_bytes, _MESSAGE_BYTES),
            threads=limits.threads,
            stall_s=limits.stall_s,
            grace_s=limits.grace_s,
        )
        # Calls that take long must not keep those waiting that only look: each kind has threads of its own.
        looking, changing, ending = Steps(limits.threads), Steps(_CHANGES), Steps(limits.calls)
        for steps in (looking, changing, ending):
            stack.push_async_callback(steps.close)
        pulling, on_loop = (AioEngine(engine.data_dir, max_threads=most) for most in (_PULLS, _EXECS))
        for one in (pulling, on_loop):
            stack.push_async_callback(one.close)
        images = ImageService(engine, pulling, looking)
        stack.push_async_callback(images.close)
        info = RuntimeInfo(engine.data_dir, looking, network=settings.network)
        pods = Pods(engine, on_loop)
        stack.push_async_callback(pods.close)
        self._streaming = StreamingServer(pods)
        self._stack = stack
        self._looking = looking
        self._data_dir = engine.data_dir
        runtime = RuntimeService(
            info,
            Sandboxes(engine, looking, info, changing=changing, ending=ending),
            Containers(engine, looking, images, changing=changing, ending=ending),
            Streams(on_loop, looking, self._streaming),
            Figures(engine.data_dir, looking),
            ContainerEvents(engine.data_dir, looking),
        )
        self._calls = Calls(limits, metrics, journal)
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", limits.request_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", limits.calls),
            ],
            maximum_concurrent_rpcs=limits.calls,
        )
        services = {
            RUNTIME_SERVICE: runtime.handlers(self._calls),
            IMAGE_SERVICE: images.handlers(self._calls),
        }
        for name, handlers in services.items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        self._statuses = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._statuses, self._server)
        names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        listen_at(self._server, settings.address, stack, mode=_SOCKET_MODE)

    async def start(self) -> None:
        """Answers from now on. Raises ``Conflict`` where streams cannot be served."""
        await self._looking.run(sweep, self._data_dir)
        await self._stack.enter_async_context(self._streaming)
        for name in (RUNTIME_SERVICE, IMAGE_SERVICE):
            await self._statuses.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()

    async def stop(self) -> None:
        """Takes no more calls, and returns when those that there are have ended, or the grace is over."""
        await self._statuses.enter_graceful_shutdown()
        await self._calls.end()
        await self._server.stop(_LAST_BYTES_S)
