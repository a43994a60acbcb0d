"""Pods as rkt's API tells of them: what ``rkt/api_service.go`` (rkt 1.30) reads, and by its rules."""

from __future__ import annotations

import os

from carob.engine.appc import documents
from carob.engine.failures import Attempt, is_shortage
from carob.engine.observe import status
from carob.engine.observe.ends import Unknown, shell_code
from carob.engine.observe.plan import read_plan
from carob.engine.rkt.names import LATEST, name_and_version
from carob.errors import CarobError
from carob.linux.files import read_file
from carob.pod import INCLUDE_MOST_DIRS, BrokenPod, layout, pod_from_uuid_string, pods
from carob.pod.state import State, is_after_run
from carob.protocol.compact_json import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from carob.engine.observe.status import AppStatus
    from carob.pod import Pod

    T = TypeVar("T")
    Pairs = tuple[tuple[str, str], ...]

RUNNING = "running"
EXITED = "exited"
_MOST_PID = 1 << 22
"""PID_MAX_LIMIT (proc(5))."""
_SUBGROUP = "subcgroup"
"""Where rkt's stage1 notes the pod's cgroup that systemd gave it."""


class RktApp:
    """One app. ``image_id`` is appc's, ``sha512-<hex>``; ``is_appc`` says that the image was an ACI.

    ``state`` is ``running``, ``exited`` or ``""``; ``exit_code`` 128 + n for signal n, 0 while it runs, and
    -1 where it never did or nobody saw its end.
    """

    __slots__ = (
        "annotations", "exit_code", "image_id", "image_name", "image_version", "is_appc", "name", "state",
    )  # fmt: skip

    def __init__(self, name: str, annotations: Pairs, image: tuple[str, str, str], *, is_appc: bool) -> None:
        self.name = name
        self.annotations = annotations
        self.image_id, self.image_name, self.image_version = image
        self.is_appc = is_appc
        self.state = ""
        self.exit_code = -1


class RktPod:
    """One pod. ``pid`` is the process it began with, also when that is gone, or -1; ``cgroup`` that of a
    running pod; ``networks`` (name, IPv4 address, IPv6 address). Times are nanoseconds since 1970 or 0.
    """

    __slots__ = (
        "annotations", "apps", "cgroup", "created_ns", "gc_marked_ns", "manifest", "networks", "pid",
        "started_ns", "state", "uuid",
    )  # fmt: skip

    def __init__(self, uuid: str, state: State) -> None:
        self.uuid = uuid
        self.state = state
        self.pid = -1
        self.manifest = b""
        self.annotations: Pairs = ()
        self.apps: tuple[RktApp, ...] = ()
        self.networks: tuple[tuple[str, str, str], ...] = ()
        self.cgroup = ""
        self.created_ns = 0
        self.started_ns = 0
        self.gc_marked_ns = 0

    def __repr__(self) -> str:
        return f"RktPod({self.uuid!r}, {str(self.state)!r})"


def each(data_dir: str) -> Iterator[RktPod]:
    """Every pod that rkt's ListPods looks at, in order of uuid: no embryos, no never-run garbage."""
    with Attempt("the pods cannot be listed"):
        for pod in pods(data_dir, INCLUDE_MOST_DIRS):
            if isinstance(pod, BrokenPod):
                continue
            try:
                pod.fd()  # from here on it is read whole, wherever it goes
                found = _read(pod)
            except CarobError as error:
                if is_shortage(error):
                    raise
                continue  # removed since it was seen, or not for this user: a pod's trouble stays with it
            yield found


def one(data_dir: str, uuid: str) -> RktPod:
    """The pod with this uuid, or whose uuid begins so. Raises ``NotFound``, ``InvalidInput``."""
    with Attempt("the pod cannot be looked at"), pod_from_uuid_string(data_dir, uuid) as pod:
        return _read(pod)


def _read(pod: Pod) -> RktPod:
    state = pod.state()
    found = RktPod(str(pod.uuid), state)
    if state is State.EMBRYO:
        return found
    found.manifest = _quietly(lambda: read_file(layout.MANIFEST, dir_fd=pod.fd())) or b""
    document = _object(found.manifest)
    found.annotations = _annotations(document)
    lives = {app.name: app for app in status.read(pod).apps}
    found.apps = tuple(
        [_app(pod, entry, lives[entry["name"]]) for entry in _entries(document) if entry["name"] in lives]
    )
    found.pid = _pid(pod)
    found.created_ns = _quietly(pod.creation_time_ns) or 0
    found.started_ns = _quietly(pod.start_time_ns) or 0
    found.gc_marked_ns = _quietly(pod.gc_marked_time_ns) or 0
    if state is State.RUNNING:
        found.cgroup = _quietly(lambda: _cgroup(pod)) or ""
    if state in (State.RUNNING, State.EXITED) and _has_networks(pod):
        found.networks = _quietly(lambda: _networks(pod)) or ()
    return found


def _app(pod: Pod, entry: dict[str, Any], life: AppStatus) -> RktApp:
    image = entry.get("image")
    image_id = str(image.get("id") or "") if isinstance(image, dict) else ""
    noted = _annotations(entry)
    digest = dict(noted).get(documents.IMAGE_DIGEST, "")
    is_appc = not digest or documents.image_hash(digest) != image_id
    name, version = _image_name(pod, entry, dict(noted), is_appc=is_appc)
    app = RktApp(life.name, noted, (image_id, name, version), is_appc=is_appc)
    state = pod.state()
    if life.end is not None:
        app.state = EXITED
        app.exit_code = -1 if isinstance(life.end, Unknown) else shell_code(life.end)
    elif state is State.RUNNING and (life.started_ns is not None or life.created_ns is None):
        app.state, app.exit_code = RUNNING, 0  # else it was added to a mutable pod, and not started yet
    elif is_after_run(state):
        app.state = EXITED
    return app


def _image_name(pod: Pod, entry: dict[str, Any], noted: dict[str, str], *, is_appc: bool) -> tuple[str, str]:
    """From the manifest where carob made the pod; in rkt's pods only the app's image manifest tells."""
    reference = noted.get(documents.IMAGE_REFERENCE, "")
    if reference and not is_appc:
        return name_and_version(reference)
    image = entry["image"] if isinstance(entry.get("image"), dict) else {}
    labels = image.get("labels")
    if not reference:
        found = _quietly(lambda: read_file(layout.app_manifest(entry["name"]), dir_fd=pod.fd()))
        document = _object(found or b"")
        image, labels = {"name": document.get("name") or image.get("name")}, document.get("labels")
    return str(image.get("name") or ""), dict(_pairs(labels)).get("version", LATEST)


def _pid(pod: Pod) -> int:
    found = _quietly(pod.pid) or -1
    return found if 0 < found <= _MOST_PID else -1


def _cgroup(pod: Pod) -> str:
    """The pod's group, with a slash first: as rkt's stage1 or carob's launch plan has it."""
    try:
        noted = read_file(_SUBGROUP, dir_fd=pod.fd()).decode("utf-8", "replace")
    except FileNotFoundError:
        noted = str(read_plan(pod)["cgroup"])
    return noted if noted.startswith("/") else f"/{noted}"


def _has_networks(pod: Pod) -> bool:
    """Asked first: to read them takes modules that most services never need."""
    try:
        os.stat(layout.NET_INFO, dir_fd=pod.fd())
    except OSError:
        return False
    return True


def _networks(pod: Pod) -> tuple[tuple[str, str, str], ...]:
    found = []
    for net in pod.nets:
        address = "" if net.ip is None else str(net.ip)
        found.append((net.net_name, "", address) if ":" in address else (net.net_name, address, ""))
    return tuple(found)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        document = loads(raw)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _entries(document: dict[str, Any]) -> list[dict[str, Any]]:
    apps = document.get("apps")
    return [
        app for app in (apps if isinstance(apps, list) else ())
        if isinstance(app, dict) and isinstance(app.get("name"), str)
    ]  # fmt: skip


def _annotations(document: dict[str, Any]) -> Pairs:
    return _pairs(document.get("annotations"))


def _pairs(listed: object) -> Pairs:
    """The (name, value) pairs of appc's annotations or labels, which anybody may have written."""
    return tuple(
        [
            (str(one.get("name", "")), str(one.get("value", "")))
            for one in (listed if isinstance(listed, list) else ())
            if isinstance(one, dict)
        ]
    )


def _quietly(read: Callable[[], T | None]) -> T | None:
    """What ``read`` gives, or ``None`` where it cannot: one missing file never hides the rest."""
    try:
        return read()
    except (OSError, ValueError, KeyError, CarobError) as error:
        if is_shortage(error):
            raise
        return None
