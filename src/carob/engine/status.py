"""What is known of a pod: read from its directory when asked, and kept for a while after that is gone."""

from __future__ import annotations

from carob.engine.documents import IMAGE_DIGEST, IMAGE_REFERENCE, POD_NAME
from carob.engine.ends import Unknown, from_record
from carob.engine.keeper import keepers
from carob.errors import CarobError
from carob.linux.files import read_file
from carob.pod import State
from carob.protocol import plan as plans
from carob.protocol.compact_json import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.ends import AppEnd
    from carob.pod import Pod


class AppStatus:
    """One app: ``name``, ``image`` (reference), ``image_id``, and its life.

    ``state`` is ``created`` (not started yet), ``running`` or ``ended``; ``end`` is set in the last.
    Times are nanoseconds since 1970, ``None`` where there is none.
    """

    __slots__ = ("end", "finished_ns", "image", "image_id", "name", "started_ns", "state")

    def __init__(
        self,
        name: str,
        image: str,
        image_id: str,
        state: str,
        end: AppEnd | None,
        started_ns: int | None,
        finished_ns: int | None,
    ) -> None:
        self.name = name
        self.image = image
        self.image_id = image_id
        self.state = state
        self.end = end
        self.started_ns = started_ns
        self.finished_ns = finished_ns

    def __repr__(self) -> str:
        return f"AppStatus({self.name!r}, {self.state!r}, end={self.end!r})"


class PodStatus:
    """One pod as it was when asked.

    ``outcome`` and ``reason`` say how an ended pod came to its end (``finished``, ``app failed``,
    ``stopped``, ``killed``, ``failed to start``, ``failed``; ``""`` where nobody wrote it down). ``pid`` and
    ``monitor_pid`` are those of init and monitor while they live, in the host's PID namespace. ``warnings``
    are lines for people: a stopped supervisor, the last words of one that failed. Times as in ``AppStatus``.
    """

    __slots__ = (
        "apps", "created_ns", "ended_ns", "monitor_pid", "name", "outcome", "pid", "ready", "reason",
        "started_ns", "state", "uuid", "warnings",
    )  # fmt: skip

    def __init__(self, uuid: str, name: str, state: State, apps: tuple[AppStatus, ...]) -> None:
        self.uuid = uuid
        self.name = name
        self.state = state
        self.apps = apps
        self.created_ns: int | None = None
        self.started_ns: int | None = None
        self.ended_ns: int | None = None
        self.ready = False
        self.outcome = ""
        self.reason = ""
        self.pid: int | None = None
        self.monitor_pid: int | None = None
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
    try:
        document = loads(read_file("pod", dir_fd=pod.fd()))
    except (OSError, ValueError, CarobError):
        return "", []
    if not isinstance(document, dict):
        return "", []
    apps = [app for app in _list_of(document, "apps") if isinstance(app, dict) and "name" in app]
    return annotation(document, POD_NAME), apps


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
    """The status of an open pod, in the state it was last seen in."""
    name, apps = manifest_summary(pod)
    state = pod.state()
    status = PodStatus(str(pod.uuid), name, state, tuple(_app(pod, app, state) for app in apps))
    status.created_ns = _quietly(pod.creation_time_ns)
    status.started_ns = _quietly(pod.start_time_ns)
    if state is State.RUNNING or pod.is_after_run():
        status.ready = pod.is_supervisor_ready()
        end = _document(pod, plans.END)
        status.outcome = str(end.get("outcome", ""))
        status.reason = str(end.get("reason", ""))
        status.ended_ns = _time(end.get("ended_ns"))
        _add_keepers(pod, status)
    return status


def _add_keepers(pod: Pod, status: PodStatus) -> None:
    init, monitor = keepers(pod)
    warnings = []
    if init is not None and init.is_alive():
        status.pid = init.pid
        if init.is_stopped():
            warnings.append("the pod's init is stopped: it sees and answers nothing until it is continued")
        if status.state is not State.RUNNING:
            warnings.append("processes of the pod are still there")
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


def _app(pod: Pod, app: dict[str, Any], state: State) -> AppStatus:
    name = str(app["name"])
    record = _document(pod, plans.exit_record(name)) if state not in _NOT_STARTED else {}
    end: AppEnd | None = None
    if record:
        end = from_record(record)
    elif state in _NOT_STARTED or state is State.RUNNING:
        end = None
    else:
        end = _end_without_record(pod, name)
    image = app.get("image")
    if not isinstance(image, dict):
        image = {}
    phase = "ended" if end is not None else "running" if state is State.RUNNING else "created"
    return AppStatus(
        name,
        annotation(app, IMAGE_REFERENCE) or str(image.get("name") or ""),
        annotation(app, IMAGE_DIGEST) or str(image.get("id") or ""),
        phase,
        end,
        _time(record.get("started_ns")),
        _time(record.get("finished_ns")),
    )


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
    from carob.engine.ends import Exited

    code = _quietly(lambda: pod.app_exit_code(name))
    if code is not None and 0 <= code <= 255:
        return Exited(code)
    return Unknown("the pod's init was gone before it could see the app end")


def _document(pod: Pod, path: str) -> dict[str, Any]:
    try:
        document = loads(read_file(path, dir_fd=pod.fd()))
    except (OSError, ValueError, CarobError):
        return {}
    return document if isinstance(document, dict) else {}


def _time(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _quietly(read_one: Any) -> Any:
    """What ``read_one`` gives, or ``None`` where it cannot: one missing file never hides the rest."""
    try:
        return read_one()
    except (OSError, CarobError):
        return None
