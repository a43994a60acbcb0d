"""What is known of a pod: read from its directory when asked, and kept for a while after that is gone."""

from __future__ import annotations

import os

from carob.engine.appc.documents import IMAGE_DIGEST, IMAGE_REFERENCE, MOUNTS, OWNERS, POD_NAME
from carob.engine.failures import is_shortage
from carob.engine.observe import remains
from carob.engine.observe.ends import Unknown, from_record
from carob.engine.observe.keeper import keepers
from carob.engine.observe.plan import has_networks
from carob.engine.request.life import LOG_PATH, PROBES, ROLE
from carob.errors import CarobError, CorruptData
from carob.linux.files import read_file
from carob.pod import State
from carob.pod.failure import failed
from carob.pod.layout import MANIFEST, MUTABLE_ANNOTATION
from carob.protocol import life, probing
from carob.protocol import plan as plans
from carob.protocol.compact_json import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from carob.engine.observe.ends import AppEnd
    from carob.engine.observe.networks import NetworkStatus
    from carob.engine.observe.readiness import ProbeChange, ProbeStatus
    from carob.pod import Pod


class AppStatus:
    """One app: ``name``, ``image`` (reference), ``image_id``, and its life.

    ``state`` is ``created`` (not started yet), ``running``, ``paused``, ``waiting`` (to be started again) or
    ``ended``; ``end`` is set in the last. ``restarts`` counts how often it was started again, ``last_end``
    is how the run before ended. Times, of the last run, are nanoseconds since 1970, or ``None``.
    ``mounts`` are documents of what it sees beside its image (``carob.engine.appc.mounts``). ``labels`` and
    ``annotations`` are the caller's own words, ``log_path`` is where its log is if that is not in the pod.
    ``created_ns`` is when it was added to a mutable pod. ``ready``: it runs, and its probes say so, where it
    has any; ``probes`` are those, by their roles, and ``probe_changes`` the last of what they came to.
    """

    __slots__ = (
        "annotations", "created_ns", "end", "finished_ns", "image", "image_id", "labels", "last_end",
        "log_path", "mounts", "name", "probe_changes", "probes", "ready", "restarts", "role",
        "started_ns", "state",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        image: str,
        image_id: str,
        state: str,
        end: AppEnd | None,
        started_ns: int | None,
        finished_ns: int | None,
        *,
        role: str = life.MAIN,
        restarts: int = 0,
        last_end: AppEnd | None = None,
    ) -> None:
        self.name = name
        self.image = image
        self.image_id = image_id
        self.state = state
        self.end = end
        self.started_ns = started_ns
        self.finished_ns = finished_ns
        self.mounts: tuple[dict[str, Any], ...] = ()
        self.labels: dict[str, str] = {}
        self.annotations: dict[str, str] = {}
        self.log_path = ""
        self.created_ns: int | None = None
        self.ready = state == life.RUNNING
        self.probes: dict[str, ProbeStatus] = {}
        self.probe_changes: tuple[ProbeChange, ...] = ()
        self.role = role
        self.restarts = restarts
        self.last_end = last_end

    def __repr__(self) -> str:
        return f"AppStatus({self.name!r}, {self.state!r}, end={self.end!r})"


class PodStatus:
    """One pod as it was when asked.

    ``outcome`` and ``reason`` say how an ended pod came to its end (``finished``, ``app failed``,
    ``stopped``, ``killed``, ``failed to start``, ``failed``; ``""`` where nobody wrote it down). ``pid`` and
    ``monitor_pid`` are those of init and monitor while they live, in the host's PID namespace. ``networks``
    are those that a running pod is attached to. ``owners`` are those of a pod with a user namespace: ``uids``
    and ``gids``, for each range the first in the pod, the first on the host, and how many. ``mutable``: its
    apps come and go. ``labels`` and ``annotations`` are the caller's own words. ``warnings`` are lines for
    people: a stopped supervisor, the last words of one that failed. Times as in ``AppStatus``.
    """

    __slots__ = (
        "annotations", "apps", "created_ns", "ended_ns", "labels", "monitor_pid",
        "mutable", "name", "networks", "outcome", "owners", "pid", "ready",
        "reason", "started_ns", "state", "uuid", "warnings",
    )  # fmt: skip

    def __init__(self, uuid: str, name: str, state: State, apps: tuple[AppStatus, ...]) -> None:
        self.uuid = uuid
        self.name = name
        self.state = state
        self.apps = apps
        self.mutable = False
        self.owners: dict[str, list[list[int]]] = {}
        self.labels: dict[str, str] = {}
        self.annotations: dict[str, str] = {}
        self.created_ns: int | None = None
        self.started_ns: int | None = None
        self.ended_ns: int | None = None
        self.ready = False
        self.outcome = ""
        self.reason = ""
        self.pid: int | None = None
        self.monitor_pid: int | None = None
        self.networks: tuple[NetworkStatus, ...] = ()
        self.warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"PodStatus({self.uuid!r}, {str(self.state)!r}, apps={list(self.apps)!r})"

    def app(self, name: str) -> AppStatus:
        """The app of that name; ``KeyError`` where there is none."""
        for app in self.apps:
            if app.name == name:
                return app
        raise KeyError(name)


def manifest_summary(pod: Pod) -> tuple[str, list[dict[str, Any]]]:
    """The pod's name and its apps' entries, from the manifest as it is; ("", []) where that is missing.

    No more is read or checked than a list shows: ``Pod.pod_manifest`` validates.
    """
    document = _document(pod, MANIFEST)
    return annotation(document, POD_NAME), _entries(document)


def app_names(pod: Pod) -> list[str]:
    """The names of the pod's apps. Raises as ``app_entries`` does."""
    return [str(app["name"]) for app in app_entries(pod)]


def app_entries(pod: Pod) -> list[dict[str, Any]]:
    """The apps' entries of the manifest, for who must know them all.

    Raises ``NotFound``, ``CorruptData``, ``OutOfResources`` and their like where they cannot be told.
    """
    try:
        document = loads(read_file(MANIFEST, dir_fd=pod.fd()))
    except OSError as error:
        raise failed(error, f"cannot read the manifest of pod {pod.uuid}") from error
    except ValueError as error:
        raise CorruptData(f"the manifest of pod {pod.uuid} is not JSON: {error}") from error
    return _entries(document if isinstance(document, dict) else {})


def _entries(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [app for app in _list_of(document, "apps") if isinstance(app, dict) and _is_name(app.get("name"))]


def _is_name(name: object) -> bool:
    """Whether it can be one part of a path, which an app's name becomes."""
    return isinstance(name, str) and name not in ("", ".", "..") and not {"/", "\0"} & set(name)


def _list_of(document: dict[str, Any], key: str) -> list[Any]:
    """A list of a document that anybody may have written; empty where it is something else."""
    value = document.get(key)
    return value if isinstance(value, list) else []


def annotation(document: dict[str, Any], name: str) -> str:
    """The value of an annotation of a manifest's object; ``""`` where it has none."""
    for one in _list_of(document, "annotations"):
        if isinstance(one, dict) and one.get("name") == name:
            return str(one.get("value", ""))
    return ""


def read(pod: Pod) -> PodStatus:
    """The status of an open pod, in the state it was last seen in.

    A file that is missing or broken never hides the rest. Raises ``OutOfResources`` where files could not be
    looked at for want of descriptors or memory.
    """
    document = _document(pod, MANIFEST)
    state = pod.state()
    begun = state is State.RUNNING or pod.is_after_run()
    ready = begun and pod.is_supervisor_ready()
    mutable = bool(annotation(document, MUTABLE_ANNOTATION))
    apps = tuple([_app(pod, app, state, ready=ready and not mutable) for app in _entries(document)])
    status = PodStatus(str(pod.uuid), annotation(document, POD_NAME), state, apps)
    status.mutable = mutable
    if noted := annotation(document, OWNERS):
        owners = _quietly(lambda: loads(noted)) or {}
        status.owners = {kind: owners[kind] for kind in ("uids", "gids") if kind in owners}
    status.labels, status.annotations = words(document)
    status.created_ns = _quietly(pod.creation_time_ns)
    status.started_ns = _quietly(pod.start_time_ns)
    if begun:
        status.ready = ready and all(one.ready or one.end is not None for one in apps if one.probes)
        end = _document(pod, plans.END)
        status.outcome = str(end.get("outcome", ""))
        status.reason = str(end.get("reason", ""))
        status.ended_ns = _time(end.get("ended_ns"))
        _add_keepers(pod, status)
        if has_networks(pod):
            _add_networks(pod, status)
    return status


def _add_networks(pod: Pod, status: PodStatus) -> None:
    from carob.engine.observe import networks as network_status

    if status.state is State.RUNNING:
        status.networks = _quietly(lambda: network_status.networks(pod.fd())) or ()
    owed = _quietly(lambda: network_status.debts(pod.fd())) or {}
    status.warnings += tuple(
        [f"{name} is not detached yet, which gc will do: {why}" for name, why in owed.items()]
    )


def _add_keepers(pod: Pod, status: PodStatus) -> None:
    init, monitor = keepers(pod)
    warnings = []
    if init is not None and init.is_alive():
        status.pid = init.pid
        if init.is_stopped():
            warnings.append("the pod's init is stopped: it sees and answers nothing until it is continued")
        if status.state is not State.RUNNING:
            warnings.append("processes of the pod are still there")
    elif status.state is not State.RUNNING and (left := _quietly(lambda: remains.left(pod))):
        warnings.append(f"processes of the pod are still there: {len(left)}, which rm, stop and gc end")
    if monitor is not None and monitor.is_alive():
        status.monitor_pid = monitor.pid
        if monitor.is_stopped():
            warnings.append("the pod's monitor is stopped: the pod's end will not be noticed")
    elif status.state is State.RUNNING and init is not None:
        warnings.append("the pod's monitor is gone; the pod goes on, and gc will clean up after it")
    if status.outcome.startswith("failed"):
        words = _quietly(lambda: read_file(plans.SUPERVISOR_LOG, dir_fd=pod.fd())) or b""
        lines = words.decode("utf-8", "replace").strip().splitlines()
        warnings += [f"supervisor: {line}" for line in lines[-3:]]
    status.warnings = tuple(warnings)


def _app(pod: Pod, app: dict[str, Any], state: State, *, ready: bool) -> AppStatus:
    name = str(app["name"])
    begun = state not in _NOT_STARTED
    record = _document(pod, plans.exit_record(name)) if begun else {}
    note = _document(pod, plans.life_note(name)) if begun else {}
    last = note.get("last") if isinstance(note.get("last"), dict) else None
    started_ns = _time((record or note).get("started_ns"))
    if begun and not record and not note:
        started_ns = _started_ns(pod, name)
    end: AppEnd | None = None
    if record:
        end = from_record(record)
    elif begun and state is not State.RUNNING:
        end = _end_without_record(pod, name)
    phase = life.RUNNING if ready or started_ns is not None else life.CREATED
    if note.get("state") in (life.PAUSED, life.WAITING):
        phase = str(note["state"])
    image = app.get("image")
    if not isinstance(image, dict):
        image = {}
    made = AppStatus(
        name,
        annotation(app, IMAGE_REFERENCE) or str(image.get("name") or ""),
        annotation(app, IMAGE_DIGEST) or str(image.get("id") or ""),
        phase if end is None else life.ENDED,
        end,
        started_ns,
        _time(record.get("finished_ns") if record or last is None else last.get("finished_ns")),
        role=annotation(app, ROLE) or life.MAIN,
        restarts=_count((record or note).get("restarts")),
        last_end=None if last is None else from_record(last),
    )
    if wanted := annotation(app, PROBES):
        from carob.engine.observe import readiness

        readiness.tell(made, wanted, _document(pod, probing.note(name)) if begun else {})
    if noted := annotation(app, MOUNTS):
        made.mounts = tuple(_quietly(lambda: loads(noted)) or ())
    if isinstance(app.get("app"), dict):
        made.labels, made.annotations = words(app["app"])
    made.log_path = annotation(app, LOG_PATH)
    made.created_ns = _quietly(lambda: os.stat(plans.app_plan(name), dir_fd=pod.fd()).st_mtime_ns)
    return made


def words(document: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """The labels and annotations of the caller's own that a manifest's object has."""
    found = [document.get(key) for key in ("userLabels", "userAnnotations")]
    labels, annotations = [
        {str(key): str(value) for key, value in one.items()} if isinstance(one, dict) else {} for one in found
    ]
    return labels, annotations


def _started_ns(pod: Pod, name: str) -> int | None:
    """What init noted when it had started an app that it has not seen end."""
    noted = _quietly(lambda: os.readlink(plans.start_mark(name), dir_fd=pod.fd()))
    return int(noted) if noted is not None and noted.isascii() and noted.isdecimal() else None


_NOT_STARTED = frozenset(
    {
        State.EMBRYO,
        State.PREPARING,
        State.ABORTED_PREPARE,
        State.PREPARED,
        State.GARBAGE,
        State.DELETING,
        State.GONE,
    }
)


def _end_without_record(pod: Pod, name: str) -> AppEnd:
    """An end that only rkt's status file tells, or nobody."""
    from carob.engine.observe.ends import Exited

    code = _quietly(lambda: pod.app_exit_code(name))
    if code is not None and 0 <= code <= 255:
        return Exited(code)
    return _buried(pod, name) or Unknown("the pod's init was gone before it could see the app end")


def _buried(pod: Pod, name: str) -> AppEnd | None:
    """The end as the record of the pod's end tells it, written before a file of the pod is deleted."""
    from carob.engine.observe import tombstone
    from carob.engine.observe.ends import from_view

    record = tombstone.read(pod._data_dir, str(pod.uuid)) or {}
    found = [app for app in record.get("apps") or () if app.get("name") == name]
    return from_view(found[0].get("end")) if found else None


def _document(pod: Pod, path: str) -> dict[str, Any]:
    """The object in a file of the pod; empty where there is none."""

    def read_it() -> Any:
        return loads(read_file(path, dir_fd=pod.fd()))

    document = _quietly(read_it)
    return document if isinstance(document, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _time(value: object) -> int | None:
    """A time in nanoseconds since 1970, such as there can be one (up to the year 2262)."""
    return value if isinstance(value, int) and 0 <= value < 1 << 63 else None


def _quietly(read_one: Callable[[], Any]) -> Any:
    """What ``read_one`` gives, or ``None`` where it cannot: one missing file never hides the rest."""
    try:
        return read_one()
    except (OSError, ValueError, CarobError) as error:
        if is_shortage(error):
            raise
        return None
