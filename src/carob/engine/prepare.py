"""Making a pod: from a request and images to a directory in ``prepared``.

All is written while the pod is locked in ``prepare``; one sync of the file system and one rename then
make it a prepared pod, whole or not at all. A pod that is run at once needs no sync.
"""

from __future__ import annotations

import errno
import os

from carob.engine import documents
from carob.engine.process import process, stop_signal
from carob.engine.request import app_name_from
from carob.errors import InvalidInput, NotFound
from carob.linux import cgroup
from carob.linux.files import file_system_type, write_all
from carob.pod import layout
from carob.pod.failure import failed
from carob.protocol import plan as plans
from carob.protocol.compact_json import dumps
from carob.runtime import bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.engine.request import App, PodRequest
    from carob.image.layers.trees import Tree
    from carob.image.store.resolved import ResolvedImage
    from carob.pod import Pod
    from carob.runtime.driver import Runtime

STAGE1_TREE = "carob-stage1-1"
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
# Where an overlay's upper directory cannot be: other overlays and aufs, NFS, ZFS, FUSE.
_NO_UPPER = {0x794C7630, 0x61756673, 0x6969, 0x2FC12FC1, 0x65735546}


class Ingredient:
    """One app of the request with its image, its unpacked layers and its name in the pod."""

    __slots__ = ("app", "appc", "image", "name", "tree")

    def __init__(
        self,
        name: str,
        app: App,
        image: ResolvedImage,
        tree: Tree,
        appc: dict[str, Any] | None = None,
    ) -> None:
        """``appc`` is how an image that was an ACI calls itself (``carob.engine.appc_images``)."""
        self.name = name
        self.app = app
        self.image = image
        self.tree = tree
        self.appc = appc


def app_names(apps: Sequence[App]) -> list[str]:
    """The apps' names in the pod: given, or from the image with a number where that is taken.

    Raises ``InvalidInput`` where two apps were given the same name.
    """
    given = [app.name for app in apps if app.name is not None]
    for name in given:
        if given.count(name) > 1:
            raise InvalidInput(
                f"two apps of the pod are named {name!r}", hint="give them different names: --name"
            )
    taken = set(given)
    names = []
    for app in apps:
        name = app.name or _free_name(app_name_from(app.image), taken)
        taken.add(name)
        names.append(name)
    return names


def _free_name(base: str, taken: set[str]) -> str:
    name = base
    number = 2
    while name in taken:
        name = f"{base}-{number}"
        number += 1
    return name


def write(
    pod: Pod,
    request: PodRequest,
    ingredients: Sequence[Ingredient],
    runtime: Runtime,
    *,
    at_once: bool = False,
) -> None:
    """Fills the directory of a pod that is being prepared; not yet durable. ``at_once``: nobody else may run
    it.

    Raises ``NotFound`` for a volume that is not there, and ``OSError``.
    """
    for one in ingredients:
        _check_volumes(one)
    files = _Files(pod.fd())
    hostname = request.hostname or f"carob-{pod.uuid}"
    overlay = request.overlay and file_system_type(pod.fd()) not in _NO_UPPER
    rootfs = layout.stage1_rootfs(STAGE1_TREE if overlay else None)
    group = f"/carob/{pod.uuid}"
    files.directory(f"{rootfs}/rkt/status")
    files.directory(plans.LOG_DIRECTORY)
    files.directory(layout.APPS_INFO)
    if overlay:
        files.write(layout.STAGE1_TREE_STORE_ID, STAGE1_TREE.encode())
        files.write(layout.OVERLAY_PREPARED, b"")
    apps, volumes, planned = [], [], []
    for one in ingredients:
        run = process(one.app, one.image.config, one.tree.lower_dirs, hostname)
        app = documents.runtime_app(
            one.name, one.image.name, one.image.image_id, run, one.app.mounts, appc=one.appc
        )
        apps.append(app)
        volumes += documents.volumes(one.name, one.app.mounts)
        planned.append(_write_app(files, one, run, rootfs=rootfs, overlay=overlay, group=group))
    plan = {
        "uuid": str(pod.uuid),
        "hostname": hostname,
        "network": request.network,
        "at_once": at_once,
        "grace_s": request.grace_s,
        "status_dir": f"{rootfs}/rkt/status",
        "runtime": {"name": runtime.name, "path": runtime.path},
        "cgroup": group,
        "apps": planned,
    }
    files.write(plans.PLAN, plans.write(plan))
    annotations = {documents.NETWORK: request.network, **request.annotations}
    if request.name:
        annotations[documents.POD_NAME] = request.name
    files.write(layout.MANIFEST, documents.pod_manifest(apps, volumes, annotations))
    files.write(layout.CREATED, b"")


def _check_volumes(one: Ingredient) -> None:
    """Init mounts what is there when the pod starts; who prepares a pod should learn of it now."""
    for mount in one.app.mounts:
        try:
            os.stat(mount.source)
        except OSError as error:
            what = f"app {one.name}: the volume {mount.source} for {mount.target}"
            if error.errno not in _NOT_THERE:
                raise failed(error, f"{what} cannot be looked at") from error
            raise NotFound(
                f"{what} is not there: {error.strerror}", hint="make the file or directory first"
            ) from error


def _write_app(
    files: _Files, one: Ingredient, run: bundle.Process, *, rootfs: str, overlay: bool, group: str
) -> dict[str, Any]:
    """Writes what belongs to one app and returns its part of the launch plan."""
    files.directory(f"{layout.APPS_INFO}/{one.name}")
    files.write(
        layout.app_manifest(one.name), documents.image_manifest(one.image.name, one.image.config, run)
    )
    if overlay:
        files.write(layout.app_tree_store_id(one.name), one.tree.tree_id.encode())
        upper, work = (f"overlay/{one.tree.tree_id}/{part}/{one.name}" for part in ("upper", "work"))
        files.directory(upper)
        files.directory(work)
        files.copy_root_owner(one.tree.lower_dirs, upper)
        root: dict[str, Any] = {"lower": list(one.tree.lower_dirs), "upper": upper, "work": work}
    else:
        directory = f"{rootfs}/opt/stage2/{one.name}/rootfs"
        files.directory(directory)
        one.tree.copy_to(files.path(directory))
        root = {"directory": directory}
    mounts: list[dict[str, Any]] = [
        {
            "source": mount.source,
            "target": f"{plans.VOLUMES_AT}/{one.name}-{number}",
            "kind": "host",
            "read_only": mount.read_only,
            "recursive": mount.recursive,
        }
        for number, mount in enumerate(one.app.mounts)
    ]
    config = bundle.config(
        run,
        rootfs=f"{plans.ROOTFS_AT}/{one.name}",
        cgroup=f"{group}/{one.name}",
        filter_devices=cgroup.can_filter_devices(),
        volumes=[
            bundle.Volume(made["target"], mount.target, read_only=mount.read_only, recursive=mount.recursive)
            for made, mount in zip(mounts, one.app.mounts, strict=True)
        ],
    )
    files.directory(plans.bundle_directory(one.name))
    files.write(f"{plans.bundle_directory(one.name)}/config.json", dumps(config).encode())
    return {
        "name": one.name,
        "stop_signal": stop_signal(one.image.config),
        "rootfs": root,
        "volumes": mounts,
    }


class _Files:
    """Writing below an open pod directory."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._made: set[str] = {""}

    def path(self, name: str) -> str:
        """A path that leads to ``name`` for as long as the pod is open."""
        return f"/proc/self/fd/{self._fd}/{name}"

    def directory(self, name: str) -> None:
        """Makes a directory and what is missing above it."""
        if name in self._made:
            return
        self.directory(os.path.dirname(name))
        try:
            os.mkdir(name, layout.DIRECTORY_MODE, dir_fd=self._fd)
        except FileExistsError:
            pass
        self._made.add(name)

    def write(self, name: str, data: bytes) -> None:
        """Makes a file that was not there."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(name, flags, layout.FILE_MODE, dir_fd=self._fd)
        try:
            write_all(descriptor, data)
        finally:
            os.close(descriptor)

    def copy_root_owner(self, lower_dirs: Sequence[str], upper: str) -> None:
        """An overlay's root has the mode and owner of its upper directory: the image's, then."""
        mode, owner, group = 0o755, 0, 0
        if lower_dirs:
            found = os.stat(lower_dirs[0])
            mode, owner, group = found.st_mode & 0o7777, found.st_uid, found.st_gid
        os.chmod(upper, mode, dir_fd=self._fd)
        if os.geteuid() == 0:
            os.chown(upper, owner, group, dir_fd=self._fd)
