"""Apps of mutable pods as CRI's containers. Pure."""

from __future__ import annotations

import json

from carob.engine.observe.ends import OutOfMemory, Unknown, shell_code
from carob.errors import CorruptData
from carob.protocol import life
from carob.service.cri import api_pb2 as api
from carob.service.cri.container_resources import current_resources
from carob.service.cri.ids import container_id, is_beginning, sandbox_id
from carob.service.cri.records import RECORD, foreign_container, read_container
from carob.service.cri.sandbox_messages import has_labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from carob.engine.observe.status import AppStatus, PodStatus
    from carob.service.cri.records import ContainerRecord

_STATES = {
    life.CREATED: api.CONTAINER_CREATED,
    life.RUNNING: api.CONTAINER_RUNNING,
    life.PAUSED: api.CONTAINER_RUNNING,
    life.WAITING: api.CONTAINER_RUNNING,
    life.ENDED: api.CONTAINER_EXITED,
}


def record_of(app: AppStatus) -> ContainerRecord:
    """What CRI noted of it, or what can be said of one that somebody else has added."""
    text = app.annotations.get(RECORD)
    if text is not None:
        try:
            return read_container(text)
        except CorruptData:
            pass
    return foreign_container(app.name, app.image)


def container(view: PodStatus, app: AppStatus) -> api.Container:
    """An entry of a list."""
    record = record_of(app)
    return api.Container(
        id=container_id(view.uuid, app.name),
        pod_sandbox_id=sandbox_id(view.uuid),
        metadata=api.ContainerMetadata(**record.metadata),
        image=api.ImageSpec(image=record.image, user_specified_image=record.image),
        image_ref=app.image_id,
        image_id=app.image_id,
        state=state_of(app),
        created_at=app.created_ns or 0,
        labels=record.labels,
        annotations=record.annotations,
    )


def container_status(
    view: PodStatus, app: AppStatus, current: Mapping[str, Any] | None = None
) -> api.ContainerStatus:
    """All that is told of one. ``current`` is what its runtime is told of it (OCI's configuration), which
    tells the user of its first process, and limits that were updated.
    """
    record = record_of(app)
    config = record.config()
    message = api.ContainerStatus(
        id=container_id(view.uuid, app.name),
        metadata=config.metadata,
        state=state_of(app),
        created_at=app.created_ns or 0,
        started_at=app.started_ns or 0,
        finished_at=app.finished_ns or 0,
        image=api.ImageSpec(image=record.image, user_specified_image=record.image),
        image_ref=app.image_id,
        image_id=app.image_id,
        labels=record.labels,
        annotations=record.annotations,
        mounts=config.mounts,
        log_path=app.log_path,
        resources=api.ContainerResources(linux=current_resources(config.linux.resources, current or {})),
        stop_signal=config.stop_signal,
    )
    if user := (current or {}).get("process", {}).get("user"):
        more = [one for one in user.get("additionalGids", ()) if one != user["gid"]]
        message.user.linux.uid, message.user.linux.gid = user["uid"], user["gid"]
        message.user.linux.supplemental_groups.extend([user["gid"], *more])
    _add_end(message, app)
    return message


def _add_end(message: api.ContainerStatus, app: AppStatus) -> None:
    end = app.end
    if end is None:
        return
    message.exit_code = shell_code(end)
    match end:
        case OutOfMemory():
            message.reason = "OOMKilled"
        case Unknown(reason):
            message.reason, message.message = "ContainerStatusUnknown", reason
        case _:
            message.reason = "Completed" if message.exit_code == 0 else "Error"


def container_info(view: PodStatus, app: AppStatus, pid: int) -> str:
    """What goes with a status that is to be verbose."""
    told = {
        "sandboxID": sandbox_id(view.uuid),
        "pid": pid,
        "app": app.name,
        "config": record_of(app).document,
    }
    return json.dumps(told)


def satisfies(view: PodStatus, app: AppStatus, wanted: api.ContainerFilter) -> bool:
    """Whether all that a filter sets holds."""
    if wanted.id and not is_beginning(wanted.id, container_id(view.uuid, app.name)):
        return False
    if wanted.pod_sandbox_id and not is_beginning(wanted.pod_sandbox_id, sandbox_id(view.uuid)):
        return False
    if wanted.HasField("state") and wanted.state.state != state_of(app):
        return False
    return has_labels(record_of(app).labels, wanted.label_selector)


def attributes(view: PodStatus, app: AppStatus) -> api.ContainerAttributes:
    """What tells a container from others, for figures."""
    record = record_of(app)
    return api.ContainerAttributes(
        id=container_id(view.uuid, app.name),
        metadata=api.ContainerMetadata(**record.metadata),
        labels=record.labels,
        annotations=record.annotations,
    )


def state_of(app: AppStatus) -> api.ContainerState.ValueType:
    """CRI's state of an app."""
    return _STATES.get(app.state, api.CONTAINER_UNKNOWN)
