"""What a pod uses beside its apps' images, written down in it: volumes by name, and images as volumes.

``carob/uses`` has one use a line: ``volume NAME``, ``image sha256:…`` (an image's id) or ``layer sha256:…``
(the last chain id of its layers). It is written while the pod is prepared, under locks that keep what it
names from being removed. A pod that uses nothing has no such file.
"""

from __future__ import annotations

from carob.errors import CarobError, NotFound, Unavailable
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from carob.pod import Pod

USES = "carob/uses"
VOLUME, IMAGE, LAYER = "volume", "image", "layer"


def write(uses: Iterable[tuple[str, str]]) -> bytes:
    """The file that says these kinds and names."""
    return "".join([f"{kind} {name}\n" for kind, name in sorted(set(uses))]).encode()


def read(pod: Pod) -> list[tuple[str, str]]:
    """The kinds and names that a pod has written down.

    Raises ``Unavailable`` where that cannot be read, so that nothing is taken away for want of knowing.
    """
    try:
        raw = read_file(USES, dir_fd=pod.fd())
    except (FileNotFoundError, NotFound):
        return []
    except (OSError, CarobError) as error:
        raise Unavailable(f"cannot tell what pod {pod.uuid} uses: {error}") from error
    lines = [line.partition(" ") for line in raw.decode("utf-8", "replace").splitlines()]
    return [(kind, name) for kind, _, name in lines]


def users(data_dir: str) -> dict[str, list[str]]:
    """The uuids of the pods that use each volume: all that are not marked as garbage yet."""
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
            continue
        for kind, name in read(pod):
            if kind == VOLUME:
                found.setdefault(name, []).append(str(pod.uuid))
    return found
