"""Processes in containers, and what is streamed to and from them."""

from __future__ import annotations

from carob.engine.observe.ends import shell_code
from carob.engine.sandbox import views
from carob.errors import Conflict, InvalidInput
from carob.service.cri import api_pb2 as api
from carob.service.cri import lookup
from carob.service.cri.container_messages import record_of, state_of
from carob.service.streaming.requests import AttachRequest, ExecRequest, ForwardRequest
from carob.service.streaming.wanted import Wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.aio.engine import Engine
    from carob.aio.steps import Steps
    from carob.engine.observe.status import AppStatus, PodStatus
    from carob.service.streaming.server import StreamingServer

_MOST_OUTPUT_BYTES = 7 << 20
"""Of each stream: two of them go into the longest message that the kubelet takes."""


class Streams:
    """Exec, Attach and PortForward give out URLs of the streaming server; ExecSync answers itself."""

    def __init__(self, on_loop: Engine, steps: Steps, server: StreamingServer) -> None:
        self._on_loop = on_loop
        self._data_dir = on_loop.data_dir
        self._steps = steps
        self._server = server

    async def _running(self, identifier: str) -> tuple[PodStatus, AppStatus]:
        view, app = await self._steps.run(lookup.container, self._data_dir, identifier)
        if state_of(app) != api.CONTAINER_RUNNING:
            raise Conflict(f"container {identifier} does not run")
        return view, app

    async def exec(self, request: api.ExecRequest) -> api.ExecResponse:
        """Exec."""
        wanted = Wanted(stdin=request.stdin, stdout=request.stdout, stderr=request.stderr, tty=request.tty)
        view, app = await self._running(request.container_id)
        asked = ExecRequest(view.uuid, app.name, list(request.cmd), wanted)
        return api.ExecResponse(url=self._server.url(asked))

    async def attach(self, request: api.AttachRequest) -> api.AttachResponse:
        """Attach."""
        wanted = Wanted(stdin=request.stdin, stdout=request.stdout, stderr=request.stderr, tty=request.tty)
        view, app = await self._running(request.container_id)
        once = bool(record_of(app).document.get("stdin_once"))
        return api.AttachResponse(url=self._server.url(AttachRequest(view.uuid, app.name, wanted, once=once)))

    async def port_forward(self, request: api.PortForwardRequest) -> api.PortForwardResponse:
        """PortForward."""
        view = await self._steps.run(lookup.sandbox, self._data_dir, request.pod_sandbox_id)
        if not views.is_running(view):
            raise Conflict(f"sandbox {request.pod_sandbox_id} does not run")
        return api.PortForwardResponse(url=self._server.url(ForwardRequest(view.uuid, list(request.port))))

    async def exec_sync(self, request: api.ExecSyncRequest) -> api.ExecSyncResponse:
        """ExecSync: after ``timeout`` seconds, if there is one, the process is killed. Of what it writes to
        each stream the first part is told.
        """
        if not request.cmd:
            raise InvalidInput("an exec needs a command")
        view, app = await self._running(request.container_id)
        started = await self._on_loop.handle(view.uuid).start(list(request.cmd), app=app.name)
        async with started as process:
            try:
                stdout, stderr = await process.communicate(
                    timeout_s=float(request.timeout) if request.timeout > 0 else None,
                    most_bytes=_MOST_OUTPUT_BYTES,
                )
            except BaseException:
                process.kill()
                raise
            code = shell_code(await process.wait())
        return api.ExecSyncResponse(stdout=stdout, stderr=stderr, exit_code=code)
