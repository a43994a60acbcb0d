"""CRI's sandboxes: run, stop, remove, status, lists."""

from __future__ import annotations

import time

from carob.engine.launch.supervision import MADE
from carob.engine.request.pod import PodRequest
from carob.engine.sandbox import views
from carob.errors import CarobError, Conflict, NotFound
from carob.service.cri import api_pb2 as api
from carob.service.cri import container_messages, lookup
from carob.service.cri.ids import sandbox_id
from carob.service.cri.info import check_handler
from carob.service.cri.records import RECORD, sandbox_text
from carob.service.cri.reservations import Reservation
from carob.service.cri.sandbox_messages import record_of, sandbox, sandbox_info, sandbox_status, satisfies
from carob.service.cri.sandbox_options import check_metadata, sandbox_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import Any

    from carob.aio.steps import Steps
    from carob.engine.engine import Engine
    from carob.engine.handle import PodHandle
    from carob.service.cri.info import RuntimeInfo

_PIECE = 100
"""Sandboxes in one message of a stream."""
_SETTLE_S = 2.0
"""How long a supervisor may take whose caller is gone; it takes some milliseconds."""


class Sandboxes:
    """The sandboxes of a data directory. What is known of them is in their pods' directories."""

    def __init__(
        self, engine: Engine, steps: Steps, info: RuntimeInfo, *, changing: Steps, ending: Steps
    ) -> None:
        """``steps`` are for what only looks, ``changing`` for what makes something, ``ending`` for what waits
        until something has ended.
        """
        self._changing = changing
        self._ending = ending
        self._engine = engine
        self._data_dir = engine.data_dir
        self._steps = steps
        self._info = info

    # Their life

    async def run(self, request: api.RunPodSandboxRequest) -> api.RunPodSandboxResponse:
        """RunPodSandbox. Cancelled, it ends when there is no such sandbox; asked again while there is one, or
        while one is being made, it answers with that.
        """
        check_metadata(request.config)
        wanted = await self._steps.run(self._request, request)
        async with self._reserved(request.config.metadata) as name:
            if name.uuid and (known := await self._made_before(name.uuid, request)):
                return api.RunPodSandboxResponse(pod_sandbox_id=sandbox_id(known))
            try:
                handle = await self._changing.run_or_undo(lambda: self._run(wanted, name), _remove)
            except BaseException:
                name.free()
                raise
        return api.RunPodSandboxResponse(pod_sandbox_id=sandbox_id(handle.uuid))

    def _request(self, asked: api.RunPodSandboxRequest) -> PodRequest:
        config = asked.config
        options: dict[str, Any] = sandbox_options(config, network=self._info.network())
        return PodRequest(
            (),
            mutable=True,
            runtime=check_handler(asked.runtime_handler),
            grace_s=0.0,
            labels=dict(config.labels),
            user_annotations={**config.annotations, RECORD: sandbox_text(config, asked.runtime_handler)},
            **options,
        )

    def _run(self, wanted: PodRequest, name: Reservation) -> PodHandle:
        def note(step: str, uuid: str) -> None:
            if step == MADE:
                name.made(uuid)

        try:
            return self._engine.run_request(wanted, progress=note)
        except CarobError as error:
            if error.uuid:
                self._engine.handle(error.uuid).remove(force=True)
            raise

    async def _made_before(self, uuid: str, request: api.RunPodSandboxRequest) -> str:
        """The uuid of the sandbox that an earlier call has made; ``""`` for none.

        One that never ran, or has ended without ever having had a container, makes room. Raises ``Conflict``
        for any other.
        """
        known = await self._changing.run(views.settled, self._data_dir, uuid, patience_s=_SETTLE_S)
        if known is None:
            return ""
        record = record_of(known)
        if views.is_running(known):
            if record.config() == request.config and record.handler == request.runtime_handler:
                return known.uuid
        elif not known.apps:
            await self._ending.run(self._engine.handle(known.uuid).remove, force=True)
            return ""
        raise Conflict(
            f"there is another sandbox with this name, namespace, uid and attempt: {sandbox_id(known.uuid)}",
            hint="remove it, or give this one another attempt",
        )

    def _reserved(self, metadata: api.PodSandboxMetadata) -> Reservation:
        return Reservation(
            self._data_dir, metadata.namespace, metadata.name, metadata.uid, str(metadata.attempt)
        )

    async def stop(self, request: api.StopPodSandboxRequest) -> api.StopPodSandboxResponse:
        """StopPodSandbox. One that has ended, or is not there, is fine."""
        try:
            view = await self._steps.run(lookup.sandbox, self._data_dir, request.pod_sandbox_id)
            await self._ending.run(self._engine.handle(view.uuid).stop, grace_s=0.0)
        except NotFound:
            pass
        return api.StopPodSandboxResponse()

    async def update(
        self, request: api.UpdatePodSandboxResourcesRequest
    ) -> api.UpdatePodSandboxResourcesResponse:
        """UpdatePodSandboxResources: a pod's limits are those of the group above it, the kubelet's own."""
        await self._steps.run(lookup.sandbox, self._data_dir, request.pod_sandbox_id)
        return api.UpdatePodSandboxResourcesResponse()

    async def remove(self, request: api.RemovePodSandboxRequest) -> api.RemovePodSandboxResponse:
        """RemovePodSandbox. One that is not there is fine."""
        try:
            view = await self._steps.run(lookup.sandbox, self._data_dir, request.pod_sandbox_id)
        except NotFound:
            return api.RemovePodSandboxResponse()
        async with self._reserved(api.PodSandboxMetadata(**record_of(view).metadata)) as name:
            await self._ending.run(self._engine.handle(view.uuid).remove, force=True)
            if name.uuid in ("", view.uuid):
                name.free()
        return api.RemovePodSandboxResponse()

    # What is known of them

    async def status(self, request: api.PodSandboxStatusRequest) -> api.PodSandboxStatusResponse:
        """PodSandboxStatus."""
        now_ns = time.time_ns()
        view = await self._steps.run(lookup.sandbox, self._data_dir, request.pod_sandbox_id)
        response = api.PodSandboxStatusResponse(
            status=sandbox_status(view),
            containers_statuses=[container_messages.container_status(view, app) for app in view.apps],
            timestamp=now_ns,
        )
        if request.verbose:
            response.info["info"] = sandbox_info(view)
        return response

    async def list_all(self, request: api.ListPodSandboxRequest) -> api.ListPodSandboxResponse:
        """ListPodSandbox."""
        return api.ListPodSandboxResponse(items=await self._listed(request.filter))

    async def stream(
        self, request: api.StreamPodSandboxesRequest
    ) -> AsyncGenerator[api.StreamPodSandboxesResponse, None]:
        """StreamPodSandboxes."""
        found = await self._listed(request.filter)
        for begin in range(0, len(found), _PIECE):
            yield api.StreamPodSandboxesResponse(pod_sandboxes=found[begin : begin + _PIECE])

    async def _listed(self, wanted: api.PodSandboxFilter) -> list[api.PodSandbox]:
        def look() -> list[api.PodSandbox]:
            return [sandbox(view) for view in views.each(self._data_dir) if satisfies(view, wanted)]

        return await self._steps.run(look)


def _remove(handle: PodHandle) -> None:
    handle.remove(force=True)
