"""One service from its start to its end: gRPC's server, signals, and what the service manager is told."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from carob._version import __version__
from carob.aio.steps import Steps
from carob.errors import InvalidInput
from carob.linux.notify import notify
from carob.service import systemd
from carob.service.calls import Calls
from carob.service.listening import listen, listen_for_metrics
from carob.service.metrics import CallMetrics
from carob.service.metrics_server import MetricsServer
from carob.service.v1alpha.methods import SERVICE, PublicApi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.engine import Engine
    from carob.service.journal import Journal
    from carob.service.settings import Limits, ServiceSettings

_PING_AFTER_MS = 60_000
"""A caller on TCP that is silent for so long is asked whether it is there, so that its streams end."""
_LAST_BYTES_S = 0.2
"""For what was said last to get through. gRPC would wait for callers that keep their connections, too."""


async def serve(engine: Engine, settings: ServiceSettings, journal: Journal) -> None:
    """Serves until SIGTERM or SIGINT."""
    sockets = systemd.listening_sockets(os.environ)
    if sockets and settings.listen:
        raise InvalidInput("sockets were handed in, and addresses were given too", hint="leave --listen out")
    stopping = _signals()
    steps = Steps(settings.limits.threads)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(steps.close)
        metrics = CallMetrics()
        calls = Calls(settings.limits, metrics, journal)
        server = grpc.aio.server(
            options=_options(settings.limits), maximum_concurrent_rpcs=settings.limits.calls
        )
        statuses = _add_services(server, PublicApi(engine.data_dir, steps), calls)
        where = listen(server, settings, sockets, stack)
        cri = None
        if settings.cri is not None:
            from carob.service.cri.service import CriService

            cri = CriService(
                engine, settings.cri, settings.limits, metrics=metrics, journal=journal, stack=stack
            )
            where["cri"] = str(settings.cri.address)
        if settings.metrics is not None:
            told = MetricsServer(engine, steps, metrics)
            where["metrics"] = await listen_for_metrics(told, settings, settings.metrics, stack)
        await statuses.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        await server.start()
        if cri is not None:
            await cri.start()
        journal.info("serving", version=__version__, dir=engine.data_dir, pid=os.getpid(), **where)
        notify("READY=1")
        await stopping.wait()
        journal.info("stopping")
        notify("STOPPING=1")
        if cri is not None:
            await cri.stop()
        await statuses.enter_graceful_shutdown()
        await calls.end()
        await server.stop(_LAST_BYTES_S)
    journal.info("stopped")


def _signals() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # else a second service would take a part of the first one's callers
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_concurrent_streams", limits.calls),
        ("grpc.keepalive_time_ms", _PING_AFTER_MS),
    ]


def _add_services(server: grpc.aio.Server, public: PublicApi, calls: Calls) -> health.aio.HealthServicer:
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, public.handlers(calls)),))
    statuses = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(statuses, server)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return statuses
