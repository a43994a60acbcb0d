"""CRI's containers: create, start, stop, remove, update, status, lists."""

from __future__ import annotations

import os

from carob.engine.sandbox import views
from carob.errors import Conflict, InvalidInput, NotFound, Unavailable
from carob.service.cri import api_pb2 as api
from carob.service.cri import host_facts, lookup
from carob.service.cri.container_app import app_name, container_app, process_namespace
from carob.service.cri.container_messages import (
    container,
    container_info,
    container_status,
    satisfies,
    state_of,
)
from carob.service.cri.container_mounts import missing_sources
from carob.service.cri.container_resources import resources
from carob.service.cri.ids import container_id
from carob.service.cri.records import RECORD, container_text
from carob.service.cri.reservations import Reservation
from carob.service.cri.sandbox_messages import record_of as sandbox_record_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from carob.aio.steps import Steps
    from carob.engine.engine import Engine
    from carob.engine.observe.status import AppStatus, PodStatus
    from carob.service.cri.images import ImageService

_PIECE = 100
"""Containers in one message of a stream."""
_DIRECTORY_MODE = 0o755
_SETTLE_S = 10.0


class Containers:
    """The containers of a data directory: the apps of its mutable pods."""

    def __init__(
        self, engine: Engine, steps: Steps, images: ImageService, *, changing: Steps, ending: Steps
    ) -> None:
        """As of ``Sandboxes``."""
        self._changing = changing
        self._ending = ending
        self._engine = engine
        self._data_dir = engine.data_dir
        self._steps = steps
        self._images = images

    async def _find(self, identifier: str) -> tuple[PodStatus, AppStatus]:
        return await self._steps.run(lookup.container, self._data_dir, identifier)

    # Their life

    async def create(self, request: api.CreateContainerRequest) -> api.CreateContainerResponse:
        """CreateContainer. Cancelled, it ends when there is no such container; asked again while there is one
        that was not started yet, it answers with that.
        """
        view = await self._steps.run(lookup.sandbox, self._data_dir, request.pod_sandbox_id)
        name = app_name(request.config.metadata)
        image = await self._images.find(request.config.image.image)
        for mount in request.config.mounts:
            if mount.HasField("image"):  # whatever its name will mean later
                mount.image.image_ref = (await self._images.find(mount.image.image)).image_id
        add = await self._steps.run(self._adding, view, request, image.image_id)
        async with Reservation(self._data_dir, view.uuid, name) as reserved:
            try:
                await self._changing.run_or_undo(add, lambda _: self._forget(view.uuid, name))
            except Conflict:
                if not await self._steps.run(self._was_created, view.uuid, name, request.config):
                    raise
            finally:
                reserved.free()
        return api.CreateContainerResponse(container_id=container_id(view.uuid, name))

    def _adding(
        self, view: PodStatus, request: api.CreateContainerRequest, image: str
    ) -> Callable[[], object]:
        """The step that adds the app, with all that it needs looked up and checked."""
        config, sandbox = request.config, sandbox_record_of(view).config()
        app = container_app(config, image=image, host=host_facts.look(), sandbox=sandbox)
        options = config.linux.security_context.namespace_options
        target = lookup.container(self._data_dir, options.target_id)[1].name if options.target_id else ""
        for path in missing_sources(config.mounts):
            _make_directory(path)
        directory = sandbox.log_directory or request.sandbox_config.log_directory
        handle = self._engine.handle(view.uuid)
        return lambda: handle.add(
            app,
            pid=process_namespace(options, target),
            log_path=f"{directory.rstrip('/')}/{config.log_path}" if directory and config.log_path else None,
            labels=dict(config.labels),
            user_annotations={**config.annotations, RECORD: container_text(config)},
        )

    def _forget(self, uuid: str, name: str) -> None:
        try:
            self._engine.handle(uuid).remove_app(name, force=True)
        except NotFound:
            return

    def _was_created(self, uuid: str, name: str, config: api.ContainerConfig) -> bool:
        """Whether the pod has this very container already, and it was not started."""
        try:
            app = views.one(self._data_dir, uuid).app(name)
        except (NotFound, KeyError):
            return False
        return state_of(app) == api.CONTAINER_CREATED and app.annotations.get(RECORD) == container_text(
            config
        )

    async def start(self, request: api.StartContainerRequest) -> api.StartContainerResponse:
        """StartContainer. One that runs already is fine."""
        view, app = await self._find(request.container_id)
        if state_of(app) == api.CONTAINER_EXITED:
            raise Conflict(f"container {request.container_id} has ended", hint="create another one")
        await self._changing.run(self._engine.handle(view.uuid).start_app, app.name)
        return api.StartContainerResponse()

    async def stop(self, request: api.StopContainerRequest) -> api.StopContainerResponse:
        """StopContainer. One that has ended, or is not there, is fine."""
        try:
            view, app = await self._find(request.container_id)
        except NotFound:
            return api.StopContainerResponse()
        handle = self._engine.handle(view.uuid)
        try:
            await self._ending.run(handle.stop_app, app.name, grace_s=float(max(request.timeout, 0)))
        except NotFound:
            pass
        except Unavailable:  # the sandbox ends, and its init has gone already
            await self._ending.run(handle.wait, timeout_s=_SETTLE_S)
        return api.StopContainerResponse()

    async def remove(self, request: api.RemoveContainerRequest) -> api.RemoveContainerResponse:
        """RemoveContainer. One that is not there is fine."""
        try:
            view, app = await self._find(request.container_id)
            await self._ending.run(self._engine.handle(view.uuid).remove_app, app.name, force=True)
        except NotFound:
            pass
        return api.RemoveContainerResponse()

    async def update(
        self, request: api.UpdateContainerResourcesRequest
    ) -> api.UpdateContainerResourcesResponse:
        """UpdateContainerResources."""
        view, app = await self._find(request.container_id)
        asked = resources(request.linux)
        if asked is not None:
            await self._changing.run(self._engine.handle(view.uuid).update, asked, app=app.name)
        return api.UpdateContainerResourcesResponse()

    async def reopen_log(self, request: api.ReopenContainerLogRequest) -> api.ReopenContainerLogResponse:
        """ReopenContainerLog."""
        view, app = await self._find(request.container_id)
        await self._changing.run(self._engine.handle(view.uuid).reopen_log, app.name)
        return api.ReopenContainerLogResponse()

    # What is known of them

    async def status(self, request: api.ContainerStatusRequest) -> api.ContainerStatusResponse:
        """ContainerStatus."""

        def look() -> api.ContainerStatusResponse:
            view, app = lookup.container(self._data_dir, request.container_id)
            current = views.configuration(self._data_dir, view.uuid, app.name)
            response = api.ContainerStatusResponse(status=container_status(view, app, current))
            if request.verbose:
                response.info["info"] = container_info(view, app, 0)
            return response

        return await self._steps.run(look)

    async def list_all(self, request: api.ListContainersRequest) -> api.ListContainersResponse:
        """ListContainers."""
        return api.ListContainersResponse(containers=await self._listed(request.filter))

    async def stream(
        self, request: api.StreamContainersRequest
    ) -> AsyncGenerator[api.StreamContainersResponse, None]:
        """StreamContainers."""
        found = await self._listed(request.filter)
        for begin in range(0, len(found), _PIECE):
            yield api.StreamContainersResponse(containers=found[begin : begin + _PIECE])

    async def _listed(self, wanted: api.ContainerFilter) -> list[api.Container]:
        def look() -> list[api.Container]:
            return [
                container(view, app)
                for view in views.each(self._data_dir)
                for app in view.apps
                if satisfies(view, app, wanted)
            ]

        return await self._steps.run(look)


def _make_directory(path: str) -> None:
    try:
        os.makedirs(path, _DIRECTORY_MODE, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"the mount's source {path} cannot be made: {error.strerror}") from error
