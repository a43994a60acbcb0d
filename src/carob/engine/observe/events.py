"""What has happened to a pod, read from its directory, or from the record that it leaves."""

from __future__ import annotations

import os

from carob.engine.failures import is_shortage
from carob.engine.observe import tombstone
from carob.engine.observe.views import pod_document
from carob.errors import NotFound
from carob.pod import State, open_pod
from carob.protocol import probing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from carob.pod import Pod

PREPARED = "prepared"
ABORTED = "prepare-aborted"
STARTED = "started"
APP_CREATED = "app-created"
APP_STARTED = "app-started"
APP_ENDED = "app-ended"
APP_REMOVED = "app-removed"
ENDED = "ended"
REMOVED = "removed"
_ORDER = (
    PREPARED,
    ABORTED,
    STARTED,
    APP_CREATED,
    APP_STARTED,
    *probing.EVENTS,
    APP_ENDED,
    APP_REMOVED,
    ENDED,
    REMOVED,
)
_OVER = ("exited", "exited deleting", "exited garbage")


class Event:
    """One thing that happened to a pod, or to one of its apps.

    ``kind`` is ``prepared`` or ``prepare-aborted`` (whoever made the pod failed or died), ``started``,
    ``app-started``, ``app-ended``, ``ended`` or ``removed``; in a mutable pod also ``app-created`` and
    ``app-removed``; of apps with probes ``app-ready``, ``app-unready``, or ``probe-failed``, with the role of
    the ``probe`` and the ``reason``;
    ``time_ns`` nanoseconds since 1970; ``app`` the app's name or ``""``. ``end`` is how an app ended, as
    ``carob.engine.observe.views.end_document`` has it; ``outcome`` and ``reason`` are how the pod did.
    """

    __slots__ = ("app", "end", "kind", "name", "outcome", "probe", "reason", "time_ns", "uuid")

    def __init__(
        self,
        time_ns: int,
        kind: str,
        uuid: str,
        name: str,
        *,
        app: str = "",
        end: Mapping[str, Any] | None = None,
        outcome: str = "",
        reason: str = "",
        probe: str = "",
    ) -> None:
        self.time_ns = time_ns
        self.kind = kind
        self.uuid = uuid
        self.name = name
        self.app = app
        self.end = end
        self.outcome = outcome
        self.reason = reason
        self.probe = probe

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells the event from all others of its pod. A pod is prepared, started and ended but once."""
        return self.kind, self.app, self.time_ns if self.app else 0

    def __repr__(self) -> str:
        return f"Event({self.time_ns}, {self.kind!r}, {self.uuid!r}, app={self.app!r})"


def of_open(pod: Pod, document: Mapping[str, Any]) -> list[Event]:
    """What has happened to an open pod; ``document`` is that of ``of_document``."""
    if document.get("state") == str(State.ABORTED_PREPARE):
        # When something was made in it the last time: that is all there is of it.
        last_ns = os.fstat(pod.fd()).st_mtime_ns
        return [Event(last_ns, ABORTED, str(pod.uuid), str(document.get("name", "")))]
    return of_document(document)


def of_document(document: Mapping[str, Any], *, removed_ns: int | None = None) -> list[Event]:
    """What the document of a pod (``carob.engine.observe.views.pod_document``) tells, in the order of time.

    ``removed_ns`` is when a pod that is gone was removed.
    """
    uuid, name = str(document.get("uuid", "")), str(document.get("name", ""))
    found: list[Event] = []

    def add(kind: str, time_ns: object, **more: Any) -> None:
        if isinstance(time_ns, int):
            found.append(Event(time_ns, kind, uuid, name, **more))

    add(PREPARED, document.get("created_ns"))
    # Before init is written down, for some milliseconds, another file's time stands for the start.
    if document.get("pid") is not None or document.get("state") != "running":
        add(STARTED, document.get("started_ns"))
    for app in document.get("apps") or ():
        add(APP_CREATED, app.get("created_ns"), app=str(app.get("name")))
        add(APP_STARTED, app.get("started_ns"), app=str(app.get("name")))
        for one in app.get("probe_changes") or ():
            told = {"probe": str(one.get("probe")), "reason": str(one.get("reason"))}
            if one.get("event") in probing.EVENTS:
                add(one["event"], one.get("time_ns"), app=str(app.get("name")), **told)
        if app.get("end") is not None:
            ended_ns = app.get("finished_ns") or document.get("ended_ns") or _last_ns(found)
            add(APP_ENDED, ended_ns, app=str(app.get("name")), end=app["end"])
    if document.get("started_ns") is not None and (removed_ns is not None or document.get("state") in _OVER):
        outcome, reason = str(document.get("outcome", "")), str(document.get("reason", ""))
        add(ENDED, document.get("ended_ns") or _last_ns(found), outcome=outcome, reason=reason)
    if removed_ns is not None:
        # A file's own time lags behind the clock by some milliseconds.
        add(REMOVED, max(removed_ns, _last_ns(found) or 0))
    return in_order(found)


def in_order(found: list[Event]) -> list[Event]:
    """Events by time; what came at the same time in the order of a pod's life."""
    return sorted(found, key=lambda event: (event.time_ns, event.uuid, _ORDER.index(event.kind)))


def _last_ns(found: list[Event]) -> int | None:
    """The latest moment known, for an end whose own was never written down."""
    return max((event.time_ns for event in found), default=None)


def of_pod(data_dir: str, uuid: str) -> list[Event]:
    """What has happened to a pod so far, also one that was removed within the last day.

    Raises ``NotFound``.
    """
    from carob.engine.observe import status

    try:
        with open_pod(data_dir, uuid) as pod:
            return of_open(pod, pod_document(status.read(pod)))
    except NotFound:
        found = of_removed(data_dir, uuid)
        if found is None:
            raise
        return found


def of_removed(data_dir: str, uuid: str) -> list[Event] | None:
    """The same from the record of a removed pod; ``None`` where there is none."""
    record = tombstone.read(data_dir, uuid)
    if record is None:
        return None
    try:
        removed_ns = os.stat(os.path.join(data_dir, tombstone.DIRECTORY, f"{uuid}.json")).st_mtime_ns
    except OSError as error:
        if is_shortage(error):
            raise
        return None
    return of_document(record, removed_ns=removed_ns)


def document(event: Event) -> dict[str, Any]:
    """The event as a plain document: what does not belong to its kind is left out."""
    found: dict[str, Any] = {
        "time_ns": event.time_ns, "event": event.kind, "uuid": event.uuid, "name": event.name,
    }  # fmt: skip
    if event.app:
        found["app"] = event.app
    if event.kind == APP_ENDED:
        found["end"] = event.end
    if event.kind == probing.FAILED:
        found["probe"], found["reason"] = event.probe, event.reason
    if event.kind == ENDED:
        found["outcome"], found["reason"] = event.outcome, event.reason
    return found
