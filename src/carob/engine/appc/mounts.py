"""Mounts as documents: in appc's words for rkt's tools, and whole for carob's own.

appc knows volumes of kind ``host`` and ``empty`` only, so an app's annotation ``carob/mounts`` says all of
each mount, in the order of the app's mounts: ``target``, ``kind`` (``host``, ``empty``, ``memory``, ``named``
or ``image``), what that kind has (``carob.engine.request.mounts``), and the mount's options. It is also what
a pod's status shows. Of files, ``carob/files`` says where they are; contents are written nowhere.
"""

from __future__ import annotations

import os

from carob.engine.appc.documents import FILES, MOUNTS
from carob.engine.request.mounts import EmptyVolume, ImageVolume, MemoryVolume, Mount, NamedVolume
from carob.errors import InvalidInput
from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.engine.request.mounts import File, Volume

_KINDS: dict[str, type[Volume]] = {
    "empty": EmptyVolume,
    "memory": MemoryVolume,
    "named": NamedVolume,
    "image": ImageVolume,
}
_OPTIONS = ("read_only", "recursive", "subpath", "propagation", "nosuid", "nodev", "noexec")
_FILE_PARTS = ("target", "source", "mode", "uid", "gid")


def volume_name(app: str, number: int, mount: Mount) -> str:
    """The name of a mount's volume in the pod manifest."""
    match mount.source:
        case EmptyVolume(name=name) | MemoryVolume(name=name) if name:
            return name
    return f"{app}-mount-{number}"


def appc_volumes(
    app: str, mounts: Sequence[Mount], planned: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The pod manifest's ``volumes`` of one app; ``planned`` is what the launch plan says of each."""
    found = []
    for number, (mount, made) in enumerate(zip(mounts, planned, strict=True)):
        volume: dict[str, Any] = {"name": volume_name(app, number, mount)}
        if made["kind"] == "host":
            source = os.path.join(made["source"], mount.subpath).rstrip("/") or "/"
            volume |= {"kind": "host", "source": source}
            volume |= {"readOnly": mount.read_only, "recursive": mount.recursive}
        else:
            volume["kind"] = "empty"
            match mount.source:
                case EmptyVolume() | MemoryVolume() as of_pod:
                    volume |= {"mode": f"{of_pod.mode:04o}", "uid": of_pod.uid, "gid": of_pod.gid}
        found.append(volume)
    return found


def app_annotations(mounts: Sequence[Mount], files: Sequence[File]) -> list[dict[str, str]]:
    """The annotations of an app in the pod manifest."""
    found = []
    if mounts:
        found.append({"name": MOUNTS, "value": dumps([document(mount) for mount in mounts])})
    if files:
        parts = [{part: getattr(file, part) for part in _FILE_PARTS} for file in files]
        found.append({"name": FILES, "value": dumps(parts)})
    return found


def document(mount: Mount) -> dict[str, Any]:
    """All of a mount."""
    made: dict[str, Any] = {"target": mount.target}
    if isinstance(mount.source, str):
        made |= {"kind": "host", "source": mount.source}
    else:
        made["kind"] = next(kind for kind, made_as in _KINDS.items() if isinstance(mount.source, made_as))
        made |= mount.source.held()
    made |= {option: getattr(mount, option) for option in _OPTIONS}
    made |= {} if mount.read_only_below else {"read_only_below": False}
    return made | ({"idmap": True} if mount.idmap else {})


def read(text: str) -> list[dict[str, Any]]:
    """The documents in an annotation; ``InvalidInput`` for what are none."""
    try:
        found = loads(text)
    except ValueError as error:
        raise InvalidInput(f"{MOUNTS} is not JSON: {error}") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InvalidInput(f"{MOUNTS} is a list of objects")
    return found


def mount(found: dict[str, Any]) -> Mount:
    """The mount that a document says. ``InvalidInput``."""
    options = {option: found[option] for option in (*_OPTIONS, "read_only_below", "idmap") if option in found}
    kind = found.get("kind")
    if kind == "host":
        return Mount(found.get("source", ""), found.get("target", ""), **options)
    made_as = _KINDS.get(str(kind))
    if made_as is None:
        raise InvalidInput(f"there are no mounts of kind {kind!r}")
    parts = {slot: found[slot] for slot in made_as.__slots__ if slot in found}
    try:
        volume = made_as(**parts)
    except TypeError:  # without a name
        raise InvalidInput(f"a mount of kind {kind} says no more: {found}") from None
    return Mount(volume, found.get("target", ""), **options)


def is_plain(found: dict[str, Any]) -> bool:
    """Whether appc's words alone say all of a mount: of the host, or empty, with the usual options."""
    usual = {
        "read_only_below": True,
        "subpath": "",
        "propagation": "private",
        "nosuid": True,
        "nodev": True,
        "noexec": False,
    }
    if found.get("idmap") or any(found.get(option, value) != value for option, value in usual.items()):
        return False
    return found.get("kind") == "host" or (found.get("kind") == "empty" and bool(found.get("name")))
