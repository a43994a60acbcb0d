"""Making a pod: from a request and images to a directory in ``prepared``.

All is written while the pod is locked in ``prepare``; one sync of the file system and one rename then
make it a prepared pod, whole or not at all. A pod that is run at once needs no sync.
"""

from __future__ import annotations

import os

from carob.engine.appc import documents
from carob.engine.prepare.isolation import Isolation
from carob.engine.prepare.owners import owners_here
from carob.engine.prepare.process import process, stop_signal
from carob.engine.request import shared
from carob.engine.request.pod import app_name_from
from carob.errors import InvalidInput
from carob.linux import cgroup
from carob.linux.files import file_system_type, write_all
from carob.pod import layout
from carob.protocol import plan as plans
from carob.protocol.compact_json import dumps
from carob.protocol.life import TTY
from carob.runtime import bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from carob.engine.prepare.mounts import MountPlan
    from carob.engine.prepare.networks import Surroundings
    from carob.engine.prepare.owners import Owners
    from carob.engine.request.pod import App, PodRequest
    from carob.engine.volumes.sources import Sources
    from carob.image.layers.trees import Tree
    from carob.image.store.resolved import ResolvedImage
    from carob.pod import Pod
    from carob.runtime.driver import Runtime

STAGE1_TREE = "carob-stage1-1"
# Where an overlay's upper directory cannot be: other overlays and aufs, NFS, ZFS, FUSE.
_NO_UPPER = {0x794C7630, 0x61756673, 0x6969, 0x2FC12FC1, 0x65735546}


class Ingredient:
    """One app of the request with its image, its unpacked layers and its name in the pod."""

    __slots__ = ("app", "appc", "image", "name", "sources", "tree")

    def __init__(
        self,
        name: str,
        app: App,
        image: ResolvedImage,
        tree: Tree,
        appc: dict[str, Any] | None = None,
        sources: Sources | None = None,
    ) -> None:
        """``appc`` is how an image that was an ACI calls itself (``carob.engine.appc.images``); ``sources``
        is what an app with mounts or files has found for them.
        """
        self.name = name
        self.app = app
        self.image = image
        self.tree = tree
        self.appc = appc
        self.sources = sources


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
        name = app.name or free_name(app_name_from(app.image), taken)
        taken.add(name)
        names.append(name)
    return names


def free_name(base: str, taken: set[str]) -> str:
    """The name, with a number where it is taken."""
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

    Raises ``OSError``.
    """
    owners = _owners(pod, request)
    isolation = Isolation(
        request,
        [(one.name, one.app) for one in ingredients],
        uuid=str(pod.uuid),
        runtime=runtime.name,
        owners=owners,
    )
    files = Files(pod.fd())
    own_name = os.uname().nodename if request.uts == "host" else f"carob-{pod.uuid}"
    hostname = request.hostname or own_name
    overlay = request.overlay and file_system_type(pod.fd()) not in _NO_UPPER
    rootfs = layout.stage1_rootfs(STAGE1_TREE if overlay else None)
    files.directory(f"{rootfs}/rkt/status")
    files.directory(plans.LOG_DIRECTORY)
    files.directory(layout.APPS_INFO)
    if overlay:
        files.write(layout.STAGE1_TREE_STORE_ID, STAGE1_TREE.encode())
        files.write(layout.OVERLAY_PREPARED, b"")
    around = _surroundings(pod, request, ingredients, hostname, files)
    mounts = _mount_plan(ingredients, files, overlay=overlay, at_once=at_once)
    apps, planned = [], []
    for one in ingredients:
        told, part = write_app(
            files,
            request,
            one,
            isolation,
            owners,
            mounts,
            hostname=hostname,
            rootfs=rootfs,
            overlay=overlay,
            around=around,
        )
        apps.append(told)
        planned.append(part)
    plan = {
        "uuid": str(pod.uuid),
        "hostname": hostname,
        "network": request.network_kind,
        "at_once": at_once,
        "grace_s": request.grace_s,
        "status_dir": f"{rootfs}/rkt/status",
        "runtime": {"name": runtime.name, "path": runtime.path},
        "cgroup": isolation.group,
        "user_namespace": owners is not None and owners.hold_init,
        "apps": planned,
        **isolation.planned,
    }
    if request.mutable:
        plan["mutable"] = True
        if isolation.group and not plan["user_namespace"]:
            from carob.linux import limits as kernel_limits

            plan["hierarchies"] = kernel_limits.hierarchies_of_apps()
        files.write(layout.MANIFEST_LOCK, b"")
    if request.log_driver != "k8s-file":
        plan["journal"] = True
    if request.log_limits is not None:
        plan["log"] = request.log_limits.planned()
    if around is not None and around.plan is not None:
        plan["networks"] = around.plan
    if mounts is not None:
        plan |= mounts.finish()
    if request.isolation == "none":
        plan["handed"] = sum("propagation" in volume for volume in planned[0]["volumes"])
    files.write(plans.PLAN, plans.write(plan))
    annotations = {documents.NETWORK: request.network, **request.annotations}
    if request.mutable:
        annotations[layout.MUTABLE_ANNOTATION] = "true"
    if request.name:
        annotations[documents.POD_NAME] = request.name
    if "owners" in plan:
        annotations[documents.OWNERS] = dumps(plan["owners"])
    volumes = list(mounts.appc.values()) if mounts is not None else []
    limits = []
    if not shared.is_usual(request):
        from carob.engine.appc import isolators

        limits = isolators.tell_pod(request, annotations)
    more: dict[str, Any] = request.notes()
    if request.networking is not None and (request.networking.ports or request.networking.named_ports):
        from carob.engine.appc import ports

        more = {**more, "ports": ports.of_pod(request.networking)}
    files.write(layout.MANIFEST, documents.pod_manifest(apps, volumes, annotations, limits, more))
    files.write(layout.CREATED, b"")


def _owners(pod: Pod, request: PodRequest) -> Owners | None:
    """Those of a user's pod, or of one that asks for some; ``None`` for the host's."""
    owners = owners_here()
    if request.user_namespace is None:
        return owners
    from carob.engine.prepare import user_namespace

    return user_namespace.settle(request, pod, owners)


def write_app(
    files: Files,
    request: PodRequest,
    one: Ingredient,
    isolation: Isolation,
    owners: Owners | None,
    mounts: MountPlan | None,
    *,
    hostname: str,
    rootfs: str,
    overlay: bool,
    around: Surroundings | None,
    noted: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Writes what belongs to one app; returns its entry of the pod manifest, with what is ``noted`` besides,
    and its part of the launch plan.
    """
    run = process(one.app, one.image.config, one.tree.lower_dirs, hostname)
    if owners is not None:
        owners.check_app(one.app, run, f"app {one.name}")
    app = documents.runtime_app(
        one.name,
        one.image.name,
        one.image.image_id,
        run,
        one.app.mounts,
        one.app.files,
        appc=one.appc,
        noted={**one.app.life.annotations(), **(noted or {})},
    )
    if one.app.security is not None or one.app.resources is not None:
        from carob.engine.appc import isolators

        isolators.tell_app(app, one.app)
    if (one.image.config.get("config") or {}).get("ExposedPorts"):
        from carob.engine.appc import ports

        app["app"]["ports"] = ports.of_app(one.image.config)
    made = mounts.add(one, run) if mounts is not None else ([], [])
    if request.isolation == "none":
        from carob.engine.prepare import bare

        of_host = bare.volumes(one.name, [mount.target for mount in one.app.mounts])
        made = of_host[0] + made[0], of_host[1] + made[1]
    part = _write_app(files, one, run, isolation, made, rootfs=rootfs, overlay=overlay, around=around)
    if one.app.life.probes:
        from carob.engine.prepare import probes

        part["probes"] = probes.planned(files.data_dir(), one)
    return app, part


def _surroundings(
    pod: Pod, request: PodRequest, ingredients: Sequence[Ingredient], hostname: str, files: Files
) -> Surroundings | None:
    if request.networking is None:
        return None
    from carob.engine.prepare.networks import surround
    from carob.protocol.pod_network import FILES

    ports = []
    if request.networking.named_ports:
        from carob.engine.prepare.named_ports import named_ports

        ports = named_ports(pod.path().rsplit("/", 3)[0], ingredients)
    around = surround(pod.fd(), str(pod.uuid), request.networking, hostname, ports)
    files.directory(FILES)
    for name, text in around.files.items():
        files.write(name, text.encode(), mode=0o644)
    return around


def _mount_plan(
    ingredients: Sequence[Ingredient], files: Files, *, overlay: bool, at_once: bool
) -> MountPlan | None:
    """What mounts and files need; ``None`` where no app has any."""
    if not any(one.app.mounts or one.app.files for one in ingredients):
        return None
    from carob.engine.prepare.mounts import MountPlan

    return MountPlan(ingredients, files, overlay=overlay, at_once=at_once)


def _write_app(
    files: Files,
    one: Ingredient,
    run: bundle.Process,
    isolation: Isolation,
    mounts: tuple[list[dict[str, Any]], list[bundle.Volume]],
    *,
    rootfs: str,
    overlay: bool,
    around: Surroundings | None,
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
        one.tree.copy_to(os.path.realpath(files.path(directory)))  # another process may do it
        root = {"directory": directory}
    own = isolation.apps[one.name]
    places: list[bundle.Volume] = []
    if own.confinement.read_only_rootfs and (one.image.config.get("config") or {}).get("Volumes"):
        from carob.engine.prepare import of_image

        places = of_image.writable_places(one.name, one.app, one.image.config, one.tree)
    config = bundle.config(
        run,
        own.confinement,
        rootfs=f"{plans.ROOTFS_AT}/{one.name}",
        cgroup=f"{isolation.group}/{one.name}" if isolation.group else "",
        namespaces=isolation.namespaces,
        resources=own.resources,
        filter_devices=cgroup.can_filter_devices(),
        has_tty_group=isolation.maps_tty_group,
        own_mounts=isolation.own_mounts,
        hooks=around.hooks if around is not None else None,
        volumes=[
            *(around.volumes if around is not None else ()),
            *places,
            *mounts[1],
        ],
    )
    if isolation.owners is not None:
        from carob.runtime import user_namespace

        user_namespace.take_on(config, isolation.owners.uids, isolation.owners.gids, **isolation.shares)
    if one.app.life.streams["stdin"] == TTY:
        config["process"]["terminal"] = True
    files.directory(plans.bundle_directory(one.name))
    text = bundle.text(config, own.confinement.filter)
    files.write(f"{plans.bundle_directory(one.name)}/config.json", text.encode())
    return {
        "name": one.name,
        "stop_signal": stop_signal(one.image.config),
        **one.app.life.planned(),
        "rootfs": root,
        "volumes": mounts[0],
    }


class Files:
    """Writing below an open pod directory."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._made: set[str] = {""}

    def path(self, name: str) -> str:
        """A path that leads to ``name`` for as long as the pod is open."""
        return f"/proc/self/fd/{self._fd}/{name}"

    def data_dir(self) -> str:
        """The data directory that the pod is in."""
        return os.path.realpath(self.path("")).rsplit("/", 3)[0]

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

    def write(self, name: str, data: bytes, *, mode: int = layout.FILE_MODE) -> None:
        """Makes a file that was not there."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(name, flags, mode, dir_fd=self._fd)
        try:
            if mode != layout.FILE_MODE:
                os.fchmod(descriptor, mode)  # whatever the caller's umask is
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
