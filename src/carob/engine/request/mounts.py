"""What an app sees beside its image: mounts of volumes, and files that a pod keeps in memory.

Values; checked when made. What a mount leads to is a path of the host or one of the volumes here:

- ``EmptyVolume``: a directory on disk that comes and goes with the pod.
- ``MemoryVolume``: the same in memory (tmpfs).
- ``NamedVolume``: a directory of the data directory that outlives pods (``carob.engine.volumes.collection``).
- ``ImageVolume``: the file system of an image.

Empty and memory volumes with a name are the pod's, shared by all apps that mount the name; those without are
the mount's own.
"""

from __future__ import annotations

import os

from carob.engine.request import inputs
from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    Propagation = Literal["private", "slave", "shared"]

PROPAGATIONS = ("private", "slave", "shared")
LONGEST_FILE_BYTES = 8 << 20
"""A file of a pod is read and kept in memory."""
_HIGHEST_MODE = 0o7777
_LONGEST_NAME = 200
_OF_PODS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_OF_HOSTS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class _Value:
    """Equal and hashed by what it holds; ``repr`` shows that."""

    __slots__: tuple[str, ...] = ()

    def held(self) -> dict[str, Any]:
        """What it holds, by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Value) and type(other) is type(self) and self.held() == other.held()

    def __hash__(self) -> int:
        return hash((type(self), *self.held().values()))

    def __repr__(self) -> str:
        held = ", ".join([f"{name}={value!r}" for name, value in self.held().items()])
        return f"{type(self).__name__}({held})"


class EmptyVolume(_Value):
    """A directory on disk, empty at first, with this mode and owner; it is deleted with the pod.

    ``name`` (``a-z0-9-``) is for apps of the pod that share it.
    """

    __slots__ = ("gid", "mode", "name", "uid")

    def __init__(self, name: str = "", *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        self.name = _pod_volume_name(name)
        self.mode = inputs.whole(mode, "the mode of a volume", 0, _HIGHEST_MODE)
        self.uid = inputs.whole(uid, "the user of a volume", 0, inputs.HIGHEST_ID)
        self.gid = inputs.whole(gid, "the group of a volume", 0, inputs.HIGHEST_ID)


class MemoryVolume(_Value):
    """A tmpfs of at most ``size_bytes`` (``None``: half of the machine's memory), with this mode and owner.

    What is in it counts as memory of the app that wrote it. ``name`` is as for ``EmptyVolume``.
    """

    __slots__ = ("gid", "mode", "name", "size_bytes", "uid")

    def __init__(
        self,
        name: str = "",
        *,
        size_bytes: int | None = None,
        mode: int = 0o1777,
        uid: int = 0,
        gid: int = 0,
    ) -> None:
        self.name = _pod_volume_name(name)
        self.size_bytes = (
            None if size_bytes is None else inputs.whole(size_bytes, "the size of a volume", 1, 1 << 62)
        )
        self.mode = inputs.whole(mode, "the mode of a volume", 0, _HIGHEST_MODE)
        self.uid = inputs.whole(uid, "the user of a volume", 0, inputs.HIGHEST_ID)
        self.gid = inputs.whole(gid, "the group of a volume", 0, inputs.HIGHEST_ID)


class NamedVolume(_Value):
    """A volume of the data directory, made when it is first asked for.

    At its first use it gets what the image has at the mount's target, unless ``copy`` is false. No pod that
    could still need it loses it: ``carob.engine.volumes.collection``.
    """

    __slots__ = ("copy", "name")

    def __init__(self, name: str, *, copy: bool = True) -> None:
        self.name = check_volume_name(name)
        self.copy = inputs.flag(copy, "copy of a volume")


class ImageVolume(_Value):
    """The file system of ``image``, found and fetched as an app's image is; nothing of it is run.

    With ``writable`` what is changed stays in the pod and ends with it.
    """

    __slots__ = ("image", "writable")

    def __init__(self, image: str, *, writable: bool = False) -> None:
        self.image = inputs.text(image, "an image's name")
        self.writable = inputs.flag(writable, "writable of a volume")
        if not image:
            raise InvalidInput("a volume of an image needs the image's name")


Volume = EmptyVolume | MemoryVolume | NamedVolume | ImageVolume


class Mount:
    """A volume, or a directory or file of the host, seen by an app at ``target``, an absolute path.

    ``source`` is a volume, or an absolute path on the host that is there when the pod is prepared.
    ``subpath`` names a part of it, and may have no symbolic link on the way.

    ``recursive`` brings along what is mounted below a path of the host; ``read_only`` holds for that too,
    unless ``read_only_below`` is false.
    With ``propagation`` ``slave``, what the host mounts below later is seen, and with ``shared`` the host
    also sees what the app mounts; the source must be on such a mount of the host.

    Set-id bits and device nodes count for nothing unless ``nosuid`` and ``nodev`` are false. ``noexec`` keeps
    programs from being run; ``None`` stands for what is usual: in memory no, else yes.

    In a pod with a user namespace a path of the host shows the host's owners, and who is root in the pod is
    somebody else there; with ``idmap`` it shows the pod's, as volumes do.
    """

    __slots__ = (
        "idmap", "nodev", "noexec", "nosuid", "propagation", "read_only", "read_only_below", "recursive",
        "source", "subpath", "target",
    )  # fmt: skip

    def __init__(
        self,
        source: str | os.PathLike[str] | Volume,
        target: str,
        *,
        read_only: bool = False,
        read_only_below: bool = True,
        recursive: bool = True,
        subpath: str = "",
        propagation: Propagation = "private",
        nosuid: bool = True,
        nodev: bool = True,
        noexec: bool | None = None,
        idmap: bool = False,
    ) -> None:
        self.source: str | Volume = (
            source if isinstance(source, Volume) else inputs.absolute_path(source, "the source of a mount")
        )
        self.target = _target(target, "mount")
        self.read_only = inputs.flag(read_only, "read_only of a mount")
        self.read_only_below = inputs.flag(read_only_below, "read_only_below of a mount")
        self.recursive = inputs.flag(recursive, "recursive of a mount")
        self.subpath = "" if subpath == "" else _subpath(subpath)
        if propagation not in PROPAGATIONS:
            raise InvalidInput(
                f"there is no propagation {propagation!r}", hint=f"one of {', '.join(PROPAGATIONS)}"
            )
        self.propagation = propagation
        self.nosuid = inputs.flag(nosuid, "nosuid of a mount")
        self.nodev = inputs.flag(nodev, "nodev of a mount")
        in_memory = isinstance(source, MemoryVolume)
        self.noexec = in_memory if noexec is None else inputs.flag(noexec, "noexec of a mount")
        self.idmap = inputs.flag(idmap, "idmap of a mount")
        if propagation != "private" and isinstance(source, Volume):
            raise InvalidInput(
                f"only paths of the host have propagation {propagation}, not {source!r}",
                hint="leave propagation out",
            )

    def __repr__(self) -> str:
        return f"Mount({self.source!r}, {self.target!r}, read_only={self.read_only})"


class File:
    """A file of an app that stands in memory and is never written to disk: a secret, a configuration.

    Its content is ``content``, or that of the file ``source`` of the host, read when the pod is started, by
    whoever starts it. A pod that is prepared keeps no ``content``, so it takes files with a ``source`` only.

    The app finds it at ``target``, read-only, and may not replace it. It belongs to the app's user and group
    unless ``uid`` and ``gid`` say otherwise, and others may not read it unless ``mode`` says so.
    """

    __slots__ = ("content", "gid", "mode", "source", "target", "uid")

    def __init__(
        self,
        target: str,
        content: bytes | str | None = None,
        *,
        source: str | os.PathLike[str] | None = None,
        mode: int = 0o400,
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        self.target = _target(target, "file")
        self.content = None if content is None else inputs.payload(content, "the content of a file")
        self.source = None if source is None else inputs.absolute_path(source, "the source of a file")
        self.mode = inputs.whole(mode, "the mode of a file", 0, 0o777)
        self.uid = None if uid is None else inputs.whole(uid, "the user of a file", 0, inputs.HIGHEST_ID)
        self.gid = None if gid is None else inputs.whole(gid, "the group of a file", 0, inputs.HIGHEST_ID)
        if (content is None) == (source is None):
            raise InvalidInput(f"the file {target} needs a content or a source, one of both")
        if self.content is not None and len(self.content) > LONGEST_FILE_BYTES:
            raise InvalidInput(
                f"the file {target} is too long: {len(self.content)} bytes",
                hint=f"at most {LONGEST_FILE_BYTES}: mount what is larger",
            )

    def __repr__(self) -> str:
        return f"File({self.target!r}, mode={self.mode:#o})"  # a content may be a secret


def checked(mounts: Any, files: Any) -> tuple[tuple[Mount, ...], tuple[File, ...]]:
    """The mounts and files of one app. Raises ``InvalidInput``, also where two have one target."""
    found, held = inputs.items(mounts, "mounts"), inputs.items(files, "files")
    for mount in found:
        if not isinstance(mount, Mount):
            raise InvalidInput(
                f"mounts are made with Mount, not {mount!r}", hint='Mount("/source", "/target")'
            )
    for file in held:
        if not isinstance(file, File):
            raise InvalidInput(f"files are made with File, not {file!r}", hint='File("/target", "content")')
    taken = set()
    for target in [os.path.normpath(one.target) for one in (*found, *held)]:
        if target in taken:
            raise InvalidInput(f"two things are mounted at {target}")
        taken.add(target)
    return found, held


def check_shared(apps: Any) -> None:
    """Raises ``InvalidInput`` where apps mean different volumes by one name."""
    named: dict[str, Volume] = {}
    for app in apps:
        for mount in app.mounts:
            volume = mount.source
            if not isinstance(volume, EmptyVolume | MemoryVolume) or not volume.name:
                continue
            if (first := named.setdefault(volume.name, volume)) != volume:
                raise InvalidInput(f"the volume {volume.name} is said in two ways: {first!r} and {volume!r}")


def check_volume_name(name: Any) -> str:
    """The name of a volume of the data directory: letters, digits and ``._-``, the first one no sign."""
    inputs.text(name, "a volume's name")
    if not name or not _OF_HOSTS.issuperset(name) or not name[0].isalnum() or len(name) > _LONGEST_NAME:
        raise InvalidInput(
            f"{name!r} is no name of a volume",
            hint=f"use letters, digits and ._-, beginning with a letter or digit, at most {_LONGEST_NAME}",
        )
    return str(name)


def _pod_volume_name(name: Any) -> str:
    """appc's AC Name (types.md), or nothing."""
    inputs.text(name, "a volume's name")
    if name and (not _OF_PODS.issuperset(name) or not all(name.split("-")) or len(name) > _LONGEST_NAME):
        raise InvalidInput(
            f"{name!r} is no name of a pod's volume",
            hint="use lower-case letters, digits, and single - between them",
        )
    return str(name)


def _target(target: Any, what: str) -> str:
    found = inputs.absolute_path(target, f"the target of a {what}")
    if os.path.normpath(found) in ("/", "//"):
        raise InvalidInput("nothing can be mounted over an app's root directory")
    if ".." in found.split("/"):
        raise InvalidInput(f"the target of a {what} has no .. in it: {found!r}")
    return found


def _subpath(subpath: Any) -> str:
    found = inputs.text(inputs.path(subpath, "a subpath"), "a subpath")
    if found.startswith("/") or ".." in found.split("/"):
        raise InvalidInput(f"a subpath is relative and has no .. in it, not {found!r}")
    return os.path.normpath(found)
