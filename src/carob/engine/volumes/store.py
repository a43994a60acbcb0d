"""Named volumes on disk, and the locks that those who use and remove them meet at.

::

    <dir>/volumes/<name>/data           what apps see
    <dir>/volumes/<name>/volume.json    version 1: created_ns, labels
    <dir>/volumes/<name>/fresh          there until the first use, which copies an image's files to ``data``
    <dir>/volumes/<name>/filling        such a copy under way, or what a crash left of it
    <dir>/volumes/.tmp/                 volumes being made or removed, or what a crash left of them

A volume has its name only when it is whole. Who uses one holds a shared lock on its directory until the
pod has written down that it does (``carob/uses``); who fills or removes it holds the exclusive lock, and who
removes it then looks at all pods.
"""

from __future__ import annotations

import os
import time

from carob.engine.request.mounts import check_volume_name
from carob.errors import Conflict, CorruptData, NotFound
from carob.image.files.durable import make_directory, replace_file, sync_directory
from carob.image.files.locks import lock
from carob.linux.syscall import rename_noreplace
from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from carob.image.files.locks import Lock

VERSION = 1
DIRECTORY = "volumes"
TEMPORARY = ".tmp"
FRESH = "fresh"
FILLING = "filling"
_RECORD = "volume.json"
_DATA = "data"
_ATTEMPTS = 100


class Record:
    """What ``volume.json`` holds: when the volume was made (ns since 1970), and its labels."""

    __slots__ = ("created_ns", "labels")

    def __init__(self, created_ns: int, labels: Mapping[str, str]) -> None:
        self.created_ns = created_ns
        self.labels = dict(labels)


def top(data_dir: str) -> str:
    """The directory of all volumes."""
    return f"{data_dir}/{DIRECTORY}"


def path(data_dir: str, name: str) -> str:
    """The directory of a volume."""
    return f"{data_dir}/{DIRECTORY}/{check_volume_name(name)}"


def data_path(data_dir: str, name: str) -> str:
    """The directory that apps see."""
    return f"{path(data_dir, name)}/{_DATA}"


def names(data_dir: str) -> list[str]:
    """The names of all volumes, sorted."""
    try:
        return sorted(name for name in os.listdir(top(data_dir)) if not name.startswith("."))
    except FileNotFoundError:
        return []


def create(data_dir: str, name: str, labels: Mapping[str, str]) -> Record:
    """Makes an empty volume, durably, and returns its record. ``Conflict`` where the name is taken."""
    final = path(data_dir, name)
    if os.path.isdir(final):
        raise _taken(name)
    make_directory(top(data_dir), mode=0o700)  # set-id files of images come to be in volumes
    make_directory(f"{top(data_dir)}/{TEMPORARY}", mode=0o700)
    with new_workplace(data_dir) as held:
        base = os.readlink(f"/proc/self/fd/{held.fd}")
        os.mkdir(f"{base}/{_DATA}", 0o755)
        os.chmod(f"{base}/{_DATA}", 0o755)  # whatever the umask
        with open(f"{base}/{FRESH}", "xb"):
            pass
        made = Record(time.time_ns(), labels)
        document: dict[str, Any] = {"version": VERSION, "created_ns": made.created_ns, "labels": made.labels}
        replace_file(f"{base}/{_RECORD}", (dumps(document) + "\n").encode(), temporary=f"{base}/.{_RECORD}")
        try:
            rename_noreplace(base, final)
        except FileExistsError:
            remove_workplace(held)
            raise _taken(name) from None
        sync_directory(top(data_dir))
    return made


def _taken(name: str) -> Conflict:
    return Conflict(f"there is a volume {name} already", hint="carob volume list shows them")


def new_workplace(data_dir: str) -> Lock:
    """A new directory under ``.tmp``, exclusively locked, so that gc leaves it alone."""
    for _ in range(_ATTEMPTS):
        place = f"{top(data_dir)}/{TEMPORARY}/{os.urandom(8).hex()}"
        os.mkdir(place, 0o700)
        try:
            held = lock(place, exclusive=True)
        except FileNotFoundError:  # a collection took it for left behind
            continue
        assert held is not None
        return held
    raise Conflict("volumes are being collected all the time", hint="try again")


def remove_workplace(held: Lock) -> None:
    """Removes a locked directory of ``.tmp`` with all that is in it."""
    from carob.image.layers.hands import open_hands

    hands = open_hands()
    try:
        hands.remove(os.readlink(f"/proc/self/fd/{held.fd}"))
    finally:
        hands.close()


def read_record(data_dir: str, name: str) -> Record:
    """What is written down of a volume. ``NotFound``, ``CorruptData``."""
    file = f"{path(data_dir, name)}/{_RECORD}"
    try:
        with open(file, "rb") as opened:
            document = loads(opened.read())
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(name) from None
    except ValueError as error:
        raise CorruptData(f"{file} is not JSON: {error}") from error
    match document:
        case {"version": int(version)} if version > VERSION:
            raise CorruptData(f"{file} has version {version}; this carob knows up to {VERSION}")
        case {"version": int(), "created_ns": int(created_ns), "labels": dict(labels)}:
            return Record(created_ns, {str(key): str(value) for key, value in labels.items()})
    raise CorruptData(f"{file} is not about a volume")


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no volume {name}", hint="carob volume list shows the volumes")


def try_exclusive(data_dir: str, name: str) -> Lock | None:
    """The volume, exclusively locked; ``None`` where somebody uses it just now. ``NotFound``."""
    return _locked(data_dir, name, exclusive=True, wait=False)


def exclusive(data_dir: str, name: str) -> Lock:
    """The same, waited for."""
    held = _locked(data_dir, name, exclusive=True, wait=True)
    assert held is not None
    return held


def shared(data_dir: str, name: str) -> Lock:
    """The volume, kept from being removed. ``NotFound``."""
    held = _locked(data_dir, name, exclusive=False, wait=True)
    assert held is not None
    return held


def _locked(data_dir: str, name: str, *, exclusive: bool, wait: bool) -> Lock | None:
    try:
        return lock(path(data_dir, name), exclusive=exclusive, wait=wait)
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(name) from None
