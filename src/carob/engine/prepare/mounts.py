"""From the mounts and files of an app to its part of the launch plan and of the runtime's configuration."""

from __future__ import annotations

import os

from carob.engine.appc.mounts import appc_volumes
from carob.engine.request.mounts import EmptyVolume, ImageVolume, MemoryVolume, NamedVolume
from carob.engine.volumes.uses import IMAGE, LAYER, USES, VOLUME
from carob.engine.volumes.uses import write as uses_document
from carob.errors import InvalidInput
from carob.protocol import plan as plans
from carob.runtime import bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    from carob.engine.prepare.pod import Ingredient
    from carob.engine.request.mounts import File, Mount
    from carob.engine.volumes.sources import Sources
    from carob.image.layers.trees import Tree

    class PodFiles(Protocol):
        """Writing below a pod's directory."""

        def path(self, name: str) -> str:
            """A path that leads to ``name``."""

        def directory(self, name: str) -> None:
            """Makes a directory and what is missing above it."""

        def write(self, name: str, data: bytes) -> None:
            """Makes a file."""

        def copy_root_owner(self, lower_dirs: Sequence[str], upper: str) -> None:
            """Gives an overlay's upper directory the mode and owner of the image's root."""


SHARED_VOLUMES = "sharedVolumes"
"""rkt's place for the empty volumes of a pod (common/common.go)."""
_OWN_VOLUMES = "carob/volumes"
_READ_ONLY = frozenset(("ro", "ro-top"))


class MountPlan:
    """The mounts and files of a pod, app by app: what the plan says, and what the pod uses."""

    __slots__ = ("_directory", "_files", "_files_at", "_handed", "_overlay", "_uses", "_uses_in", "appc")

    def __init__(
        self,
        ingredients: Sequence[Ingredient],
        directory: PodFiles,
        *,
        overlay: bool,
        at_once: bool,
        files_at: str = plans.FILES_AT,
        uses_in: str = USES,
    ) -> None:
        """``at_once``: whoever prepares the pod also runs it. ``files_at`` is where the files are in init's
        root, ``uses_in`` where it is written down what is used.

        Raises ``InvalidInput`` for a file whose content would have to be kept until the pod is run.
        """
        self._directory = directory
        self._overlay = overlay
        self._files: list[dict[str, Any]] = []
        self._files_at = files_at
        self._uses_in = uses_in
        self._uses: set[tuple[str, str]] = set()
        self._handed = 0
        self.appc: dict[str, dict[str, Any]] = {}
        if not at_once:
            for one in ingredients:
                _refuse_contents(one)

    def finish(self) -> dict[str, Any]:
        """Writes down what the pod uses; returns what the launch plan says beside the apps."""
        if self._uses:
            self._directory.write(self._uses_in, uses_document(self._uses))
        return ({"files": self._files} if self._files else {}) | (
            {"handed": self._handed} if self._handed else {}
        )

    def add(
        self, one: Ingredient, process: bundle.Process
    ) -> tuple[list[dict[str, Any]], list[bundle.Volume]]:
        """Makes what the app's volumes need in the pod; returns its volumes for the plan, and its mounts for
        the runtime, those that others are below first.
        """
        volumes = [self._volume(one, number, mount) for number, mount in enumerate(one.app.mounts)]
        binds = [
            _bind(made["target"], made["options"], mount)
            for made, mount in zip(volumes, one.app.mounts, strict=True)
        ]
        for volume in appc_volumes(one.name, one.app.mounts, volumes):
            self.appc[volume["name"]] = volume
        binds += [self._file(file, process) for file in one.app.files]
        binds.sort(key=_depth)
        return volumes, binds

    def _volume(self, one: Ingredient, number: int, mount: Mount) -> dict[str, Any]:
        own = f"{one.name}-{number}"
        planned: dict[str, Any] = {
            "target": f"{plans.VOLUMES_AT}/{own}",
            "options": _options(mount),
            "subpath": mount.subpath,
        }
        match mount.source:
            case EmptyVolume() as volume:
                return planned | {"kind": "pod", "source": self._empty(volume, own, mount.subpath)}
            case MemoryVolume() as volume:
                return planned | {"kind": "memory", **volume.held()}
            case ImageVolume() as volume:
                image, tree = _sources(one).images[number]
                self._uses |= {(IMAGE, image.image_id), *((LAYER, chain) for chain in tree.chain_ids[-1:])}
                return planned | self._image(tree, own)
            case NamedVolume() as volume:
                self._uses.add((VOLUME, volume.name))
        planned |= {"kind": "host", "source": _sources(one).paths[number], "recursive": mount.recursive}
        planned["was"] = _sources(one).was[number]
        if mount.idmap or isinstance(mount.source, NamedVolume):
            planned["idmap"] = True
        if mount.propagation != "private":
            planned["propagation"] = mount.propagation
            self._handed += 1
        return planned

    def _empty(self, volume: EmptyVolume, own: str, subpath: str) -> str:
        """Makes a directory for an empty volume, and what is mounted of it; returns its name in the pod."""
        name = f"{SHARED_VOLUMES}/{volume.name}" if volume.name else f"{_OWN_VOLUMES}/{own}"
        path = self._directory.path(name)
        if not os.path.lexists(path):
            self._directory.directory(name)
            os.chmod(path, volume.mode)
            if os.geteuid() == 0 or (volume.uid, volume.gid) != (0, 0):
                os.chown(path, volume.uid, volume.gid)
        if subpath:
            os.makedirs(f"{path}/{subpath}", 0o755, exist_ok=True)
        return name

    def _image(self, tree: Tree, own: str) -> dict[str, Any]:
        """An image as a volume: an overlay of its own, or without overlay a copy."""
        base = f"{_OWN_VOLUMES}/{own}"
        if not self._overlay:
            self._directory.directory(base)
            tree.copy_to(self._directory.path(base))
            return {"kind": "pod", "source": base}
        upper, work = f"{base}/upper", f"{base}/work"
        self._directory.directory(upper)
        self._directory.directory(work)
        self._directory.copy_root_owner(tree.lower_dirs, upper)
        return {"kind": "image", "rootfs": {"lower": list(tree.lower_dirs), "upper": upper, "work": work}}

    def _file(self, file: File, process: bundle.Process) -> bundle.Volume:
        name = str(len(self._files))
        self._files.append(
            {
                "name": name,
                "source": file.source,
                "mode": file.mode,
                "uid": process.uid if file.uid is None else file.uid,
                "gid": process.gid if file.gid is None else file.gid,
            }
        )
        at = f"{self._files_at}/{name}"
        return bundle.Volume(at, file.target, options=("nosuid", "nodev", "noexec"), read_only=True)


def _bind(source: str, options: list[str], mount: Mount) -> bundle.Volume:
    return bundle.Volume(
        source,
        mount.target,
        read_only=not _READ_ONLY.isdisjoint(options),
        recursive=mount.recursive,
        options=[word for word in options if word not in _READ_ONLY],
        propagation=mount.propagation,
    )


def _is_read_only(mount: Mount) -> bool:
    """Whether the app may change nothing of it; an image, unless it was asked for as writable."""
    return mount.read_only or (isinstance(mount.source, ImageVolume) and not mount.source.writable)


def _sources(one: Ingredient) -> Sources:
    assert one.sources is not None  # an app with mounts has them
    return one.sources


def _refuse_contents(one: Ingredient) -> None:
    for file in one.app.files:
        if file.source is None:
            raise InvalidInput(
                f"app {one.name}: the file {file.target} has its content in memory, which no pod keeps",
                hint="run the pod at once, or give the file a source",
            )


def _options(mount: Mount) -> list[str]:
    words = {
        "ro": _is_read_only(mount) and mount.read_only_below,
        "ro-top": _is_read_only(mount) and not mount.read_only_below,
        "nosuid": mount.nosuid,
        "nodev": mount.nodev,
        "noexec": mount.noexec,
    }
    return [word for word, is_set in words.items() if is_set]


def _depth(bind: bundle.Volume) -> int:
    return len([part for part in bind.target.split("/") if part])
