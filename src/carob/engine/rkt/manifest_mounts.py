"""What an app of an appc pod manifest sees beside its image: appc's volumes and mounts, and carob's notes.

A mount that appc can say is taken from ``volumes`` and ``mounts``, whoever wrote the manifest; where carob
noted more of it (``carob.engine.appc.mounts``), that counts.
"""

from __future__ import annotations

import os

from carob.engine.appc import mounts as mount_documents
from carob.engine.appc.documents import FILES, MOUNTS
from carob.engine.request.mounts import EmptyVolume, File, Mount
from carob.errors import InvalidInput, Unsupported
from carob.protocol.compact_json import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypedDict

    from carob.spec.appc.pod import RuntimeApp
    from carob.spec.appc.volume import Volume

    class Beside(TypedDict):
        """The keywords of ``App``."""

        mounts: list[Mount]
        files: list[File]


def beside(
    path: str,
    entry: RuntimeApp,
    noted: Mapping[str, str],
    volumes: Mapping[str, Volume],
    refuse: Callable[[str, Any], None],
) -> Beside:
    """The mounts and files of an app, whose annotations are ``noted``; ``refuse`` is for unknown keys."""
    documents = {
        os.path.normpath(str(one.get("target", ""))): one
        for one in mount_documents.read(noted.get(MOUNTS, "[]"))
        if not mount_documents.is_plain(one)
    }
    mounts = []
    for target, make in _appc(path, entry, volumes, refuse):
        found = documents.get(os.path.normpath(target))
        mounts.append(make() if found is None else mount_documents.mount(found))
    return {"mounts": mounts, "files": _files(path, noted.get(FILES, "[]"))}


def _appc(
    path: str, entry: RuntimeApp, volumes: Mapping[str, Volume], refuse: Callable[[str, Any], None]
) -> list[tuple[str, Callable[[], Mount]]]:
    """The mounts that are given, and for mount points without one the volume of their name."""
    points = {os.path.normpath(point.path): point for point in (entry.app.mount_points if entry.app else ())}
    found: list[tuple[str, Callable[[], Mount]]] = []
    for index, mount in enumerate(entry.mounts):
        volume = mount.app_volume or volumes.get(str(mount.volume))
        where = f"{path}.mounts[{index}]"
        if volume is None:
            raise InvalidInput(f"{where}.volume: the pod has no volume {str(mount.volume)!r}")
        refuse(where, mount)
        refuse(f"{where}.appVolume", volume)
        point = points.pop(os.path.normpath(mount.path), None)
        # A volume of the app's own is not shared, whatever its name.
        own = mount.app_volume is not None
        found.append((mount.path, _Making(volume, mount.path, bool(point and point.read_only), own=own)))
    for point in points.values():
        volume = volumes.get(str(point.name))
        if volume is None:
            raise InvalidInput(f"{path}.app.mountPoints: nothing is mounted at {point.path} ({point.name})")
        found.append((point.path, _Making(volume, point.path, point.read_only, own=False)))
    return found


class _Making:
    """A mount as appc says it, not made yet: carob's note of it may say more."""

    __slots__ = ("_own", "_read_only", "_target", "_volume")

    def __init__(self, volume: Volume, target: str, read_only: bool, *, own: bool) -> None:
        self._volume = volume
        self._target = target
        self._read_only = read_only or bool(volume.read_only)
        self._own = own

    def __call__(self) -> Mount:
        volume = self._volume
        if volume.kind == "host":
            recursive = volume.recursive is not False
            return Mount(volume.source, self._target, read_only=self._read_only, recursive=recursive)
        empty = EmptyVolume(
            "" if self._own else str(volume.name),
            mode=_mode(str(volume.mode)),
            uid=volume.uid or 0,
            gid=volume.gid or 0,
        )
        return Mount(empty, self._target, read_only=self._read_only)


def _mode(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise InvalidInput(f"the mode of a volume is octal, not {text!r}") from None


def _files(path: str, text: str) -> list[File]:
    try:
        documents = loads(text)
        parts = [dict(one) for one in documents]
    except (TypeError, ValueError):
        raise InvalidInput(f"{path}.annotations[{FILES}]: this is no list of files") from None
    found = []
    for one in parts:
        if one.get("source") is None:
            raise Unsupported(
                f"{path}: the content of the file {one.get('target')} was never written down",
                hint="give it again: --secret",
            )
        options = {key: one[key] for key in ("mode", "uid", "gid") if key in one}
        found.append(File(one.get("target", ""), source=one["source"], **options))
    return found
