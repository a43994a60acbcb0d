"""What the engine knows, as messages of rkt's API. Pure."""

from __future__ import annotations

from carob.engine.appc.documents import AC_VERSION
from carob.engine.observe import events as happenings
from carob.service.v1alpha import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from carob.engine.observe.events import Event
    from carob.engine.rkt.images import RktImage
    from carob.engine.rkt.pods import RktApp, RktPod
    from carob.engine.rkt.watching import ImageEvent

_OCI_VERSION = "1.0"
_POD_STATES = {
    "embryo": api.POD_STATE_EMBRYO,
    "preparing": api.POD_STATE_PREPARING,
    "aborted prepare": api.POD_STATE_ABORTED_PREPARE,
    "prepared": api.POD_STATE_PREPARED,
    "running": api.POD_STATE_RUNNING,
    "exited": api.POD_STATE_EXITED,
    "deleting": api.POD_STATE_DELETING,
    "garbage": api.POD_STATE_GARBAGE,
    "exited garbage": api.POD_STATE_GARBAGE,
    "exited deleting": api.POD_STATE_DELETING,
}
_APP_STATES = {
    "": api.APP_STATE_UNDEFINED,
    "running": api.APP_STATE_RUNNING,
    "exited": api.APP_STATE_EXITED,
}
_EVENT_TYPES = {
    happenings.PREPARED: api.EVENT_TYPE_POD_PREPARED,
    happenings.STARTED: api.EVENT_TYPE_POD_STARTED,
    happenings.ENDED: api.EVENT_TYPE_POD_EXITED,
    happenings.REMOVED: api.EVENT_TYPE_POD_GARBAGE_COLLECTED,
    happenings.APP_STARTED: api.EVENT_TYPE_APP_STARTED,
    happenings.APP_ENDED: api.EVENT_TYPE_APP_EXITED,
}
_S = 1_000_000_000


def pod_message(pod: RktPod, *, manifest: bool) -> api.Pod:
    """A pod; its manifest is left out of lists that ask for no detail."""
    return api.Pod(
        id=pod.uuid,
        pid=pod.pid,
        state=_POD_STATES.get(str(pod.state), api.POD_STATE_UNDEFINED),
        apps=[_app(app) for app in pod.apps],
        networks=[api.Network(name=_text(name), ipv4=ipv4, ipv6=ipv6) for name, ipv4, ipv6 in pod.networks],
        manifest=pod.manifest if manifest else b"",
        annotations=_pairs(pod.annotations),
        cgroup=_text(pod.cgroup),
        created_at=pod.created_ns,
        started_at=pod.started_ns,
        gc_marked_at=pod.gc_marked_ns,
    )


def _app(app: RktApp) -> api.App:
    image = api.Image(
        base_format=_format(is_appc=app.is_appc),
        id=_text(app.image_id),
        name=_text(app.image_name),
        version=_text(app.image_version),
    )
    return api.App(
        name=_text(app.name),
        image=image,
        state=_APP_STATES[app.state],
        exit_code=app.exit_code,
        annotations=_pairs(app.annotations),
    )


def image_message(image: RktImage, *, manifest: bool) -> api.Image:
    """An image; its manifest is left out of lists that ask for no detail."""
    return api.Image(
        base_format=_format(is_appc=image.is_appc),
        id=image.image_id,
        name=_text(image.name),
        version=_text(image.version),
        import_timestamp=image.imported_s,
        manifest=image.manifest if manifest else b"",
        size=image.size_bytes,
        annotations=_pairs(image.annotations),
        labels=_pairs(image.labels),
    )


def pod_event_message(event: Event) -> api.Event:
    """What happened to a pod or an app; ``data`` has the nanoseconds, and how a pod or an app ended."""
    data = [("time_ns", str(event.time_ns))]
    if event.end is not None:
        data += [(key, str(value)) for key, value in event.end.items()]
    if event.kind == happenings.ENDED:
        data += [("outcome", event.outcome), ("reason", event.reason)]
    return api.Event(
        type=_EVENT_TYPES.get(event.kind, api.EVENT_TYPE_UNDEFINED),
        id=event.uuid,
        time=event.time_ns // _S,
        data=_pairs(data),
        **{"from": _text(event.app or event.name)},  # a keyword of Python's
    )


def image_event_message(event: ImageEvent) -> api.Event:
    """An image that came or went."""
    return api.Event(
        type=api.EVENT_TYPE_IMAGE_IMPORTED if event.imported else api.EVENT_TYPE_IMAGE_REMOVED,
        id=event.image_id,
        time=event.time_ns // _S,
        data=_pairs([("time_ns", str(event.time_ns))]),
        **{"from": _text(event.name)},  # a keyword of Python's
    )


def _format(*, is_appc: bool) -> api.ImageFormat:
    if is_appc:
        return api.ImageFormat(type=api.IMAGE_TYPE_APPC, version=AC_VERSION)
    return api.ImageFormat(type=api.IMAGE_TYPE_OCI, version=_OCI_VERSION)


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[api.KeyValue]:
    return [api.KeyValue(Key=_text(key), value=_text(value)) for key, value in pairs]


def _text(text: str) -> str:
    """Without halves of surrogate pairs, which JSON may hold and a message may not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
