"""What the pods of a data directory use of its images."""

from __future__ import annotations

import os

from carob.errors import CorruptData, NotFound, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod import Pod


def in_use(data_dir: str) -> set[str]:
    """The image ids and chain ids that the pods of a data directory have written down.

    Raises where a pod cannot be looked at or read, so that nothing is taken away for want of knowing.
    """
    from carob.engine.observe import unknown
    from carob.pod import INCLUDE_ALL_DIRS, BrokenPod, pods

    used: set[str] = set()
    for pod in pods(data_dir, INCLUDE_ALL_DIRS):
        if isinstance(pod, BrokenPod):
            unknown.refuse(data_dir, pod, "images")
            continue
        used.update(_images(pod))
        used.update(_trees(pod))
    return used - {""}


def _images(pod: Pod) -> list[str]:
    """The image ids that a pod's manifest names; none where there is no manifest, or it makes no sense."""
    from carob.engine.appc.documents import IMAGE_DIGEST
    from carob.engine.observe.status import annotation, app_entries

    try:
        return [annotation(app, IMAGE_DIGEST) for app in app_entries(pod)]
    except (NotFound, CorruptData):
        return []


def _trees(pod: Pod) -> list[str]:
    """The tree ids, as chain ids, that a pod's app directories name, whatever its manifest says, and what it
    uses as volumes.
    """
    from carob.engine.volumes import uses
    from carob.linux.files import read_file
    from carob.pod.layout import APPS_INFO, app_tree_store_id

    try:
        directory = os.open(APPS_INFO, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=pod.fd())
    except (FileNotFoundError, NotFound):
        return []  # being prepared, and the layers held by locks, or being deleted
    found = []
    try:
        for name in os.listdir(directory):
            try:
                tree = read_file(app_tree_store_id(name), dir_fd=pod.fd()).decode("utf-8", "replace")
            except FileNotFoundError:
                continue  # an app whose image was copied
            found.append(tree.replace("-", ":", 1))
        found += [name for kind, name in uses.read(pod) if kind in (uses.IMAGE, uses.LAYER)]
    except OSError as error:
        raise Unavailable(f"cannot tell which layers pod {pod.uuid} uses: {error}") from error
    finally:
        os.close(directory)
    return found
