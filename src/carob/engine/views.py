"""Pods as plain documents: one form for ``--format=json``, for records and for services."""

from __future__ import annotations

from carob.engine.ends import Exited, OutOfMemory, Signaled, Unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.ends import AppEnd
    from carob.engine.status import AppStatus, PodStatus


def end_document(end: AppEnd | None) -> dict[str, Any] | None:
    """An app's end: ``kind`` and what belongs to it; ``None`` while it has not ended."""
    match end:
        case None:
            return None
        case Exited(code):
            return {"kind": "exited", "code": code}
        case Signaled(signal):
            return {"kind": "signaled", "signal": signal}
        case OutOfMemory():
            return {"kind": "out-of-memory"}
        case Unknown(reason):
            return {"kind": "unknown", "reason": reason}


def app_document(app: AppStatus) -> dict[str, Any]:
    """One app of a pod's document."""
    return {
        "name": app.name,
        "image": app.image,
        "image_id": app.image_id,
        "state": app.state,
        "end": end_document(app.end),
        "started_ns": app.started_ns,
        "finished_ns": app.finished_ns,
    }


def pod_document(status: PodStatus) -> dict[str, Any]:
    """The whole of a pod's status. ``state`` is rkt's name; times are nanoseconds since 1970 or null."""
    return {
        "uuid": status.uuid,
        "name": status.name,
        "state": str(status.state),
        "ready": status.ready,
        "outcome": status.outcome,
        "reason": status.reason,
        "created_ns": status.created_ns,
        "started_ns": status.started_ns,
        "ended_ns": status.ended_ns,
        "pid": status.pid,
        "monitor_pid": status.monitor_pid,
        "apps": [app_document(app) for app in status.apps],
        "warnings": list(status.warnings),
    }
