"""Looking at many pods at once."""

from __future__ import annotations

import os

from carob.engine.appc.documents import IMAGE_DIGEST, IMAGE_REFERENCE, POD_NAME
from carob.engine.failures import is_shortage
from carob.errors import CarobError, NotFound
from carob.linux.files import OPEN_DIRECTORY, read_file
from carob.pod import INCLUDE_MOST_DIRS, BrokenPod, layout, open_pod, pods, scan
from carob.pod.directory import directory_path
from carob.pod.state import State, directory_of, is_after_run
from carob.protocol.compact_json import loads

__all__ = ["AppSummary", "BrokenPod", "PodSummary", "statuses", "summaries"]

_USUAL_BYTES = 16384

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from carob.engine.observe.status import PodStatus


class AppSummary:
    """What the manifest says of one app: ``name``, ``image`` (reference), ``image_id``, and the caller's own
    words, ``labels`` and ``annotations``.
    """

    __slots__ = ("annotations", "image", "image_id", "labels", "name")

    def __init__(self, name: str, image: str, image_id: str) -> None:
        self.name = name
        self.image = image
        self.image_id = image_id
        self.labels: dict[str, str] = {}
        self.annotations: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"AppSummary({self.name!r}, {self.image!r})"


class PodSummary:
    """What a list shows of a pod at the price of reading its manifest; no apps where that cannot be read.

    ``created_ns`` and ``started_ns`` are nanoseconds since 1970, ``networks`` the name and the address of
    each that a running pod is attached to; there are none where they were not asked for too. ``labels`` and
    ``annotations`` are the caller's own words, ``mutable`` says that its apps come and go.
    """

    __slots__ = (
        "annotations", "apps", "created_ns", "labels", "mutable", "name", "networks", "started_ns", "state",
        "uuid",
    )  # fmt: skip

    def __init__(self, uuid: str, name: str, state: State, apps: tuple[AppSummary, ...]) -> None:
        self.uuid = uuid
        self.name = name
        self.state = state
        self.apps = apps
        self.mutable = False
        self.labels: dict[str, str] = {}
        self.annotations: dict[str, str] = {}
        self.networks: tuple[tuple[str, str], ...] = ()
        self.created_ns: int | None = None
        self.started_ns: int | None = None

    def __repr__(self) -> str:
        return f"PodSummary({self.uuid!r}, {str(self.state)!r}, apps={list(self.apps)!r})"


def statuses(data_dir: str) -> list[PodStatus]:
    """The status of each pod that rkt's list shows; what is no pod is passed over."""
    from carob.engine.observe import status

    found = []
    for pod in pods(data_dir, INCLUDE_MOST_DIRS):
        if isinstance(pod, BrokenPod):
            continue
        try:
            pod.fd()  # from here on it is read whole, wherever it goes
            found.append(status.read(pod))
        except CarobError as error:
            if is_shortage(error):
                raise
            continue  # removed since it was seen, or not for this user: a pod's trouble stays with it
    return found


def summaries(
    data_dir: str, broken: Callable[[BrokenPod], object] | None, *, times: bool = False
) -> Iterator[PodSummary]:
    """A summary of each of those pods, in order of uuid; what is no pod goes to ``broken``.

    States are those of one moment before the first is yielded; a pod that went away since is left out.
    """
    found = dict(scan(data_dir, INCLUDE_MOST_DIRS, broken))
    descriptors: dict[State, int] = {}
    try:
        for state in set(found.values()):
            directory = directory_of(state)
            assert directory is not None
            descriptors[state] = os.open(directory_path(data_dir, directory), OPEN_DIRECTORY)
        for uuid in sorted(found):
            state = found[uuid]
            try:
                raw = _read(f"{uuid}/pod", descriptors[state])
            except OSError as error:
                if is_shortage(error):
                    raise
                moved = _read_moved(data_dir, uuid)
                if moved is None:
                    continue
                raw = moved
            summary = _summary(uuid, state, raw)
            if times:
                _add_times(summary, descriptors[state])
                _add_networks(summary, descriptors[state])
            yield summary
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)


def _read(name: str, dir_fd: int) -> bytes:
    """A small file whole with one read, ten thousand times: what ``read_file`` does, in half the time."""
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=dir_fd)
    try:
        raw = os.read(fd, _USUAL_BYTES)
    finally:
        os.close(fd)
    return raw if len(raw) < _USUAL_BYTES else read_file(name, dir_fd=dir_fd)


def _read_moved(data_dir: str, uuid: str) -> bytes | None:
    """The manifest of a pod that was elsewhere a moment ago; empty where it has none, ``None`` if gone."""
    try:
        with open_pod(data_dir, uuid) as pod:
            return read_file("pod", dir_fd=pod.fd())
    except NotFound:
        return None
    except (OSError, CarobError) as error:
        if is_shortage(error):
            raise
        return b""


def _summary(uuid: str, state: State, raw: bytes) -> PodSummary:
    try:
        document = loads(raw)
        apps = tuple([_app(app) for app in document["apps"] or ()])
        noted = _annotations(document)
        summary = PodSummary(uuid, str(noted.get(POD_NAME, "")), state, apps)
        summary.mutable = layout.MUTABLE_ANNOTATION in noted
        summary.labels, summary.annotations = _words(document)
        return summary
    except (ValueError, TypeError, AttributeError, KeyError):
        return PodSummary(uuid, "", state, ())


def _add_times(summary: PodSummary, dir_fd: int) -> None:
    """As ``carob.pod.times`` tells them, without opening the pod."""
    uuid, state = summary.uuid, summary.state
    begun = state is State.RUNNING or is_after_run(state)
    if begun or state is State.PREPARED:
        summary.created_ns = _modified_ns(dir_fd, f"{uuid}/{layout.CREATED}", f"{uuid}/{layout.MANIFEST}")
    if begun:
        summary.started_ns = _modified_ns(dir_fd, f"{uuid}/{layout.PID}", f"{uuid}/{layout.PPID}")


def _add_networks(summary: PodSummary, dir_fd: int) -> None:
    if summary.state is not State.RUNNING:
        return
    try:
        found = loads(_read(f"{summary.uuid}/{layout.NET_INFO}", dir_fd))
        summary.networks = tuple([(str(one["netName"]), str(one["ip"])) for one in found])
    except (OSError, ValueError, TypeError, KeyError) as error:
        if is_shortage(error):
            raise


def _modified_ns(dir_fd: int, name: str, otherwise: str) -> int | None:
    for one in (name, otherwise):
        try:
            return os.stat(one, dir_fd=dir_fd).st_mtime_ns
        except OSError:
            continue
    return None


def _app(app: dict[str, Any]) -> AppSummary:
    noted = _annotations(app)
    image = app["image"]
    summary = AppSummary(
        str(app["name"]),
        str(noted.get(IMAGE_REFERENCE) or image.get("name") or ""),
        str(noted.get(IMAGE_DIGEST) or image.get("id") or ""),
    )
    if app.get("app"):
        summary.labels, summary.annotations = _words(app["app"])
    return summary


def _words(document: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    return document.get("userLabels") or {}, document.get("userAnnotations") or {}


def _annotations(document: dict[str, Any]) -> dict[object, object]:
    return {one["name"]: one["value"] for one in document.get("annotations") or ()}
