"""What is in a mutable pod of apps that its manifest does not name: somebody was killed while adding or
removing one. It is known by what is there, and taken away under the manifest's lock.
"""

from __future__ import annotations

import os

from carob.engine.observe.plan import read_plan
from carob.engine.prepare.pod import STAGE1_TREE
from carob.engine.sandbox.manifest import Manifest
from carob.errors import CarobError, Conflict, NotFound, Unavailable
from carob.pod import layout, open_pod
from carob.protocol import plan as plans
from carob.supervisor import client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from carob.pod import Pod

_HALF_WRITTEN = f".{layout.MANIFEST}."
_MARKS = ("-created", "-started")


def sweep(pod: Pod, manifest: Manifest, status_directory: str) -> None:
    """Has init forget apps that the manifest does not name, and deletes what is there of them."""
    names = frozenset(manifest.names)
    if manifest.running:
        known = client.ask(pod.fd(), str(pod.uuid), {"op": "status"})["apps"]
        for name in known:
            if name not in names:
                client.ask(pod.fd(), str(pod.uuid), {"op": "remove-app", "app": name})
    left = _left(pod, names, status_directory)
    if left:
        _delete(pod, left)


def collect(data_dir: str, uuid: str) -> str:
    """``sweep`` for gc, of a pod that runs; returns what stood in the way, if that is worth telling.

    Who changes the pod just now sweeps it himself.
    """
    try:
        with open_pod(data_dir, uuid) as pod, Manifest(pod, patience_s=0) as manifest:
            if manifest.running:
                sweep(pod, manifest, str(read_plan(pod)["status_dir"]))
    except (NotFound, Conflict, Unavailable):
        return ""
    except (CarobError, OSError) as error:
        return f"{uuid}: {error}"
    return ""


def _left(pod: Pod, names: Collection[str], status_directory: str) -> list[str]:
    """The paths in the pod of what belongs to other apps than those."""
    stage1 = os.path.dirname(os.path.dirname(status_directory))
    trees = [name for name in _listed(pod, "overlay") if name != STAGE1_TREE]
    places: list[tuple[str, Callable[[str], str]]] = [
        ("carob/apps", str),
        (layout.APPS_INFO, str),
        (f"{stage1}/opt/stage2", str),
        *[(f"overlay/{tree}/{part}", str) for tree in trees for part in ("upper", "work")],
        ("carob/volumes", _owner_of_volume),
        (plans.LOG_DIRECTORY, _owner_of_log),
        (status_directory, _owner_of_mark),
    ]
    found = [
        f"{place}/{name}"
        for place, owner in places
        for name in _listed(pod, place)
        if owner(name) not in names
    ]
    found += [name for name in _listed(pod, ".") if name.startswith(_HALF_WRITTEN)]
    # What says which image is used goes last.
    return sorted(found, key=lambda path: path.startswith(layout.APPS_INFO))


def _listed(pod: Pod, place: str) -> list[str]:
    try:
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=pod.fd())
    except FileNotFoundError:
        return []
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def _owner_of_volume(name: str) -> str:
    return name.rpartition("-")[0]


def _owner_of_log(name: str) -> str:
    return name.removeprefix(".").partition(".")[0]  # no app's name has a dot


def _owner_of_mark(name: str) -> str:
    for mark in _MARKS:
        name = name.removesuffix(mark)
    return name.removeprefix(".").partition(".")[0]


def _delete(pod: Pod, paths: list[str]) -> None:
    from carob.image.layers.hands import borrowed

    with borrowed() as hands:
        for path in paths:
            hands.remove(f"{pod.path()}/{path}")
