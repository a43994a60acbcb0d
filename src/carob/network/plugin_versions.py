"""Which versions of CNI a plugin speaks (VERSION), asked once for each file of a plugin."""

from __future__ import annotations

import os

from carob.errors import CommandFailed, CorruptData, InvalidInput
from carob.linux.files import OPEN_DIRECTORY, read_file
from carob.network import plugins
from carob.network.places import make_private
from carob.network.record import replace_file
from carob.network.tasks import Runner
from carob.protocol.compact_json import dumps, loads
from carob.spec.cni import request, versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.network.places import Places

_FILE = "versions.json"
_LIMIT_S = 10.0
_BEFORE_VERSION = ("0.1.0",)


def supported(kinds: tuple[str, ...], places: Places) -> list[tuple[str, tuple[str, ...]]]:
    """The plugins of these types, each with the versions that it supports.

    Answers are remembered by the file's path, time of change and size. Raises ``Unsupported`` for a plugin
    that is not there, and what ``plugins.run`` raises.
    """
    known = _read(places)
    found = []
    runner = Runner()
    asked = {}
    for kind in kinds:
        path = plugins.find(kind, places.plugins)
        stamp = _stamp(path)
        answer = known.get(path)
        if answer is not None and answer[0] == stamp:
            found.append((kind, answer[1]))
            continue
        asked[kind] = (path, stamp, runner.start(_ask(kind, places)))
    runner.run(*(task for _, _, task in asked.values()))
    for kind, (path, stamp, task) in asked.items():
        known[path] = (stamp, task.outcome())
        found.append((kind, known[path][1]))
    if asked:
        _write(places, known)
    return found


def _ask(kind: str, places: Places) -> Any:
    call = plugins.Call("versions", directories=places.plugins, limit_s=_LIMIT_S)
    try:
        answer = yield from plugins.run(call, request.VERSION, kind, {"cniVersion": versions.KNOWN[-1]})
    except (CommandFailed, InvalidInput):  # plugins of 0.1.0 know no VERSION
        return _BEFORE_VERSION
    listed = answer.get("supportedVersions") if isinstance(answer, dict) else None
    if not isinstance(listed, list) or not all(isinstance(version, str) for version in listed):
        raise CorruptData(f"plugin {kind} (VERSION) does not say which versions it supports")
    return tuple(version for version in listed if version in versions.KNOWN)


def _stamp(path: str) -> str:
    found = os.stat(path)
    return f"{found.st_mtime_ns} {found.st_size} {found.st_ino}"


def _read(places: Places) -> dict[str, tuple[str, tuple[str, ...]]]:
    try:
        document = loads(read_file(f"{places.state}/{_FILE}"))
        return {path: (str(item[0]), tuple(item[1])) for path, item in document["plugins"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return {}


def _write(places: Places, known: dict[str, tuple[str, tuple[str, ...]]]) -> None:
    document: dict[str, Any] = {path: [stamp, list(found)] for path, (stamp, found) in known.items()}
    try:
        make_private(places.state)
        fd = os.open(places.state, OPEN_DIRECTORY)
    except OSError:
        return  # it is asked again next time
    try:
        replace_file(fd, _FILE, (dumps({"version": 1, "plugins": document}) + "\n").encode())
    finally:
        os.close(fd)
