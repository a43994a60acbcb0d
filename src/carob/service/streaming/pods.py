"""The pods of one engine, as streams lead to them."""

from __future__ import annotations

import socket
import time

from carob.aio.steps import Steps
from carob.engine.forward.dial import dial
from carob.service.streaming.process import AttachedApp, ExecProcess
from carob.service.streaming.requests import ExecRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.aio.engine import Engine as AioEngine
    from carob.engine.engine import Engine
    from carob.engine.steer.execution import Execution
    from carob.service.streaming.requests import AttachRequest

_MOST_THREADS = 16


class Pods:
    """Starts, attaches and connects. ``engine`` and ``on_loop`` are the same engine, blocking and not."""

    def __init__(self, engine: Engine, on_loop: AioEngine) -> None:
        self._engine = engine
        self._on_loop = on_loop
        self._steps = Steps(_MOST_THREADS)

    async def process(self, request: ExecRequest | AttachRequest) -> ExecProcess | AttachedApp:
        """What the request asks for, running. Raises ``CarobError``."""
        if isinstance(request, ExecRequest):
            return await self._execute(request)
        since_ns = time.time_ns()  # before anything is written to the app, whose answer it may be
        handle = await self._on_loop.get(request.pod)
        attachment = None
        if request.wanted.stdin:
            attachment = await handle.attach(app=request.app, once=request.once)
        return AttachedApp(handle, request.app, attachment, since_ns, once=request.once)

    async def _execute(self, request: ExecRequest) -> ExecProcess:
        def start() -> Execution:
            handle = self._engine.get(request.pod)
            return handle.start(request.argv, app=request.app, tty=request.wanted.tty)

        def undo(started: Execution) -> None:
            with started:
                started.kill()

        started = await self._steps.run_or_undo(start, undo)
        try:
            process = ExecProcess(started)
        except BaseException:
            started.close()
            raise
        if not request.wanted.stdin:
            process.end_input()
        return process

    async def connect(self, uuid: str, port: int) -> socket.socket:
        """A connection to a port of the pod's loopback. Raises ``CarobError``."""

        return await self._steps.run_or_undo(
            lambda: dial(self._engine.data_dir, uuid, port), lambda made: made.close()
        )

    async def close(self) -> None:
        """Ends the threads."""
        await self._steps.close()
