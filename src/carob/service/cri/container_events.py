"""GetContainerEvents: what happens to sandboxes and containers, as their pods' directories tell it."""

from __future__ import annotations

from contextlib import aclosing

from carob.aio import events as looks
from carob.engine.observe import events as happenings
from carob.engine.sandbox import views
from carob.errors import NotFound
from carob.service.cri import api_pb2 as api
from carob.service.cri.container_messages import container_status
from carob.service.cri.ids import container_id, sandbox_id
from carob.service.cri.sandbox_messages import sandbox_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from carob.aio.steps import Steps
    from carob.engine.observe.events import Event
    from carob.engine.observe.status import PodStatus

_OF_SANDBOXES = {
    happenings.STARTED: (api.CONTAINER_CREATED_EVENT, api.CONTAINER_STARTED_EVENT),
    happenings.ENDED: (api.CONTAINER_STOPPED_EVENT,),
    happenings.REMOVED: (api.CONTAINER_DELETED_EVENT,),
}
_OF_CONTAINERS = {
    happenings.APP_CREATED: api.CONTAINER_CREATED_EVENT,
    happenings.APP_STARTED: api.CONTAINER_STARTED_EVENT,
    happenings.APP_ENDED: api.CONTAINER_STOPPED_EVENT,
    happenings.APP_REMOVED: api.CONTAINER_DELETED_EVENT,
}


class ContainerEvents:
    """The events of a data directory's sandboxes."""

    def __init__(self, data_dir: str, steps: Steps) -> None:
        self._data_dir = data_dir
        self._steps = steps

    async def listen(self, request: api.GetEventsRequest) -> AsyncGenerator[api.ContainerEventResponse, None]:
        """GetContainerEvents: without end. An event brings the sandbox along as it is when it is told."""
        sandboxes = await self._steps.run(self._sandboxes)
        async with aclosing(looks.of_pods(self._data_dir, self._steps, since_ns=None)) as found:
            async for events in found:
                for event in events:
                    for response in await self._steps.run(self._told, event, sandboxes):
                        yield response

    def _sandboxes(self) -> set[str]:
        """The uuids of the mutable pods: one that is gone does not tell any more that it was one."""
        return {view.uuid for view in views.each(self._data_dir)}

    def _told(self, event: Event, sandboxes: set[str]) -> list[api.ContainerEventResponse]:
        try:
            view: PodStatus | None = views.one(self._data_dir, event.uuid)
            sandboxes.add(event.uuid)
        except NotFound:
            view = None
        if event.uuid not in sandboxes:
            return []
        if event.app:
            kinds = [_OF_CONTAINERS[event.kind]] if event.kind in _OF_CONTAINERS else []
            identifier = container_id(event.uuid, event.app)
        else:
            kinds = list(_OF_SANDBOXES.get(event.kind, ()))
            identifier = sandbox_id(event.uuid)
            if event.kind == happenings.REMOVED:
                sandboxes.discard(event.uuid)
        return [self._response(kind, identifier, event.time_ns, view) for kind in kinds]

    def _response(
        self, kind: api.ContainerEventType.ValueType, identifier: str, time_ns: int, view: PodStatus | None
    ) -> api.ContainerEventResponse:
        message = api.ContainerEventResponse(
            container_id=identifier, container_event_type=kind, created_at=time_ns
        )
        if view is not None:
            message.pod_sandbox_status.CopyFrom(sandbox_status(view))
            message.containers_statuses.extend([container_status(view, app) for app in view.apps])
        return message
