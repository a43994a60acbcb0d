"""The images of a data directory."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.gc import Collected as Collected  # noqa: PLC0414 - shown by carob.aio
    from carob.image.resolved import ImageSummary as ImageSummary  # noqa: PLC0414 - shown by carob.aio
    from carob.image.resolved import ResolvedImage as ResolvedImage  # noqa: PLC0414 - shown by carob.aio
    from carob.pod import Pod


class Images:
    """The local image store: an OCI image layout that other tools can read. Shared by threads freely."""

    def __init__(self, data_dir: str) -> None:
        self._data_dir = data_dir

    def import_path(self, path: str | os.PathLike[str], *, name: str) -> ResolvedImage:
        """Takes in a root file system (directory or tar archive) or an OCI image layout, under ``name``.

        Raises ``InvalidInput`` for a name or a file that is none, ``CorruptData`` for a damaged one.
        """
        from carob.image.store import Store

        return Store(self._data_dir).import_path(os.fspath(path), name=name)

    def resolve(self, name: str) -> ResolvedImage:
        """The image of this name or id; ``NotFound`` with a hint where there is none."""
        from carob.image.store import Store

        return Store(self._data_dir).resolve(name)

    def list(self) -> list[ImageSummary]:
        """All images."""
        from carob.image.store import Store

        return Store(self._data_dir).list()

    def remove(self, name_or_id: str) -> None:
        """Takes a name away, or an image with all its names. ``Conflict`` where a pod uses what would go."""
        from carob.image.store import Store

        Store(self._data_dir).remove(name_or_id, in_use=in_use(self._data_dir))

    def gc(self) -> Collected:
        """Deletes the blobs and layers that no name and no pod uses any more."""
        from carob.image.gc import gc

        return gc(self._data_dir, in_use=lambda: in_use(self._data_dir))


def in_use(data_dir: str) -> set[str]:
    """The image ids and chain ids that the pods of a data directory have written down.

    Raises where a pod cannot be read, so that nothing is taken away for want of knowing.
    """
    from carob.engine.documents import IMAGE_DIGEST
    from carob.engine.status import annotation, manifest_summary
    from carob.pod import INCLUDE_ALL_DIRS, BrokenPod, pods

    used: set[str] = set()
    for pod in pods(data_dir, INCLUDE_ALL_DIRS):
        if isinstance(pod, BrokenPod):
            continue
        for app in manifest_summary(pod)[1]:
            used.add(annotation(app, IMAGE_DIGEST))
        used.update(_trees(pod))
    return used - {""}


def _trees(pod: Pod) -> list[str]:
    """The tree ids, as chain ids, that a pod's app directories name, whatever its manifest says."""
    from carob.errors import NotFound, Unavailable
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
    except OSError as error:
        raise Unavailable(f"cannot tell which layers pod {pod.uuid} uses: {error}") from error
    finally:
        os.close(directory)
    return found
