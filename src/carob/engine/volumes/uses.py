"""What a pod uses beside its apps' images, written down in it: volumes by name, and images as volumes.

``carob/uses`` has one use a line: ``volume NAME``, ``image sha256:…`` (an image's id) or ``layer sha256:…``
(the last chain id of its layers). It is written while the pod is prepared, under locks that keep what it
names from being removed. A pod that uses nothing has no such file. Of an app that is added to a running pod,
``carob/apps/<app>/uses`` says the same.
"""

from __future__ import annotations

import os

from carob.errors import CarobError, NotFound, Unavailable
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from carob.pod import Pod

USES = "carob/uses"
APPS = "carob/apps"
VOLUME, IMAGE, LAYER = "volume", "image", "layer"


def write(uses: Iterable[tuple[str, str]]) -> bytes:
    """The file that says these kinds and names."""
    return "".join([f"{kind} {name}\n" for kind, name in sorted(set(uses))]).encode()


def read(pod: Pod) -> list[tuple[str, str]]:
    """The kinds and names that a pod has written down.

    Raises ``Unavailable`` where that cannot be read, so that nothing is taken away for want of knowing.
    """
    try:
        raw = b"".join([_read(name, pod) for name in (USES, *_of_added_apps(pod))])
    except (OSError, CarobError) as error:
        raise Unavailable(f"cannot tell what pod {pod.uuid} uses: {error}") from error
    lines = [line.partition(" ") for line in raw.decode("utf-8", "replace").splitlines()]
    return [(kind, name) for kind, _, name in lines]


def _read(name: str, pod: Pod) -> bytes:
    try:
        return read_file(name, dir_fd=pod.fd())
    except (FileNotFoundError, NotFound):
        return b""


def _of_added_apps(pod: Pod) -> list[str]:
    try:
        directory = os.open(APPS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=pod.fd())
    except (FileNotFoundError, NotFound):
        return []
    try:
        return [of_added_app(name) for name in os.listdir(directory)]
    finally:
        os.close(directory)


def of_added_app(name: str) -> str:
    """Where it is written down what an app of a mutable pod uses."""
    return f"{APPS}/{name}/uses"


def users(data_dir: str, *, to_show: bool = False) -> dict[str, list[str]]:
    """The uuids of the pods that use each volume: all that are not marked as garbage yet.

    Raises ``Unavailable`` for a pod that could not be looked at, unless they are but ``to_show``.
    """
    from carob.engine.observe import unknown
    from carob.pod import (
        INCLUDE_EMBRYO_DIR,
        INCLUDE_PREPARE_DIR,
        INCLUDE_PREPARED_DIR,
        INCLUDE_RUN_DIR,
        BrokenPod,
        pods,
    )

    include = INCLUDE_EMBRYO_DIR | INCLUDE_PREPARE_DIR | INCLUDE_PREPARED_DIR | INCLUDE_RUN_DIR
    found: dict[str, list[str]] = {}
    for pod in pods(data_dir, include):
        if isinstance(pod, BrokenPod):
            if not to_show:
                unknown.refuse(data_dir, pod, "volumes")
            continue
        for kind, name in read(pod):
            if kind == VOLUME:
                found.setdefault(name, []).append(str(pod.uuid))
    return found
