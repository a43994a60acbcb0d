"""What the mounts of a pod lead to, found and held while the pod is prepared.

Paths of the host are looked at, so that who prepares a pod learns now of what init would miss; images are
found and unpacked; named volumes are made, filled, and kept from being removed.
"""

from __future__ import annotations

import errno
import os
import stat

from carob.engine.request.mounts import ImageVolume, NamedVolume
from carob.errors import InvalidInput, NotFound
from carob.linux.files import open_beneath, without_links
from carob.pod.failure import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.engine.request.mounts import File, Mount
    from carob.engine.request.pod import App
    from carob.image.files.locks import Lock
    from carob.image.layers.trees import Tree, TreeHold, Trees
    from carob.image.store.resolved import ResolvedImage

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)


class Sources:
    """What an app's mounts lead to, by the place of the mount among them.

    ``paths`` are absolute paths on the host, ``images`` pairs of an image and its unpacked tree. ``was`` is
    the device and inode of what was found at a path. Close it when the pod has written down what it uses.
    """

    __slots__ = ("_holds", "images", "paths", "was")

    def __init__(self) -> None:
        self._holds: list[TreeHold | Lock] = []
        self.paths: dict[int, str] = {}
        self.images: dict[int, tuple[ResolvedImage, Tree]] = {}
        self.was: dict[int, list[int]] = {}

    def close(self) -> None:
        """Lets go of images and named volumes."""
        while self._holds:
            self._holds.pop().close()

    def find(
        self, app: App, name: str, tree: Tree, find: Callable[[str], ResolvedImage], trees: Trees
    ) -> None:
        """Finds what the mounts of ``app``, named ``name`` in the pod, lead to; ``tree`` is its image's.

        Raises ``NotFound`` for what is not there, ``InvalidInput`` where it cannot be mounted so.
        """
        for number, mount in enumerate(app.mounts):
            _check_target(mount.target, name, tree)
            match mount.source:
                case str(path):
                    self.paths[number] = path
                    self.was[number] = _look_at(
                        mount, path, f"app {name}: the volume {path} for {mount.target}"
                    )
                case NamedVolume() as volume:
                    from carob.engine.volumes import store as volume_store
                    from carob.engine.volumes import use as volume_use

                    held = volume_use.take(trees.directory, volume, mount.target, tree.lower_dirs)
                    self._holds.append(held)
                    path = volume_store.data_path(trees.directory, volume.name)
                    self.paths[number] = path
                    self.was[number] = _look_at(mount, path, f"app {name}: the volume {volume.name}")
                case ImageVolume(image=image):
                    found = find(image)
                    hold = trees.hold(found)
                    self._holds.append(hold)
                    self.images[number] = found, hold.tree
        for file in app.files:
            _check_target(file.target, name, tree)
            _look_at_file(file, name)


def _check_target(target: str, name: str, tree: Tree) -> None:
    """Refuses a target that an image leads to the root or to what the runtime needs to set the app up."""
    from carob.image.files.lookup import without_links

    try:
        found = os.fsdecode(without_links(tree.lower_dirs, os.fsencode(target)))
    except OSError as error:
        raise failed(error, f"app {name}: the target {target} cannot be found in the image") from error
    if found in ("", "dev", "sys") or found.split("/")[0] == "proc":
        where = f"{target}, which is /{found} in the image," if target.strip("/") != found else target
        raise InvalidInput(f"app {name}: nothing can be mounted at {where}", hint="use another target")


def _look_at(mount: Mount, path: str, what: str) -> list[int]:
    """The device and inode of what a mount of the path would show now."""
    try:
        top = os.open(without_links(path), os.O_PATH | os.O_CLOEXEC)
        try:
            found = os.fstat(top) if not mount.subpath else _look_beneath(top, mount.subpath)
        finally:
            os.close(top)
    except OSError as error:
        where = f"{what}, at {mount.subpath}," if mount.subpath else what
        if error.errno == errno.EBADF:
            raise InvalidInput(f"{what}: {error.strerror}", hint="name what it leads to") from error
        if error.errno not in _NOT_THERE:
            raise failed(error, f"{where} cannot be looked at") from error
        hint = "a subpath has no symbolic links" if mount.subpath and error.errno == errno.ELOOP else ""
        raise NotFound(
            f"{where} is not there: {error.strerror}", hint=hint or "make the file or directory first"
        ) from error
    if mount.propagation != "private":
        _check_propagation(mount, path, what)
    return [found.st_dev, found.st_ino]


def _look_beneath(top: int, subpath: str) -> os.stat_result:
    inner = open_beneath(subpath, top)
    try:
        return os.fstat(inner)
    finally:
        os.close(inner)


def _check_propagation(mount: Mount, path: str, what: str) -> None:
    from carob.linux.mount_table import propagation

    is_now = propagation(path)
    if is_now == "shared" or (mount.propagation == "slave" and is_now == "slave"):
        return
    raise InvalidInput(
        f"{what}: the mount that it is on is {is_now} in the host, so nothing is handed on",
        hint=f"mount --make-shared it, or leave propagation {mount.propagation} out",
    )


def _look_at_file(file: File, name: str) -> None:
    """A source that is read when the pod starts should be there when it is prepared."""
    if file.source is None:
        return
    what = f"app {name}: the file {file.source} for {file.target}"
    try:
        found = os.stat(file.source)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise failed(error, f"{what} cannot be looked at") from error
        raise NotFound(f"{what} is not there: {error.strerror}", hint="make it first") from error
    if stat.S_ISDIR(found.st_mode):
        raise InvalidInput(f"{what} is a directory", hint="mount it instead")
