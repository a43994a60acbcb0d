"""What is written down of a pod's networks, in its directory and, while it is attached, among this boot's
state.

In a pod's directory, below ``carob/network``: ``plan.json`` (committed with the prepared pod),
``<interface>.json`` (the result of ADD), ``<interface>.released`` (empty: DEL was done), ``debts.json`` (DEL
failed, and why). The same names are used in ``<state>/pods/<uuid>``, which outlives a pod's directory that
somebody deleted.

None but the plan is synced: a process that is killed takes nothing of it along, and a power loss ends the
interfaces and rules themselves. Whoever finds no result detaches without one.
"""

from __future__ import annotations

import os

from carob.errors import CorruptData, NotFound
from carob.linux.files import OPEN_DIRECTORY, open_directory_beneath, read_file, write_all
from carob.network.attachment import Plan, parse_plan
from carob.network.failure import failed, is_shortage
from carob.network.places import make_private
from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DIRECTORY = "carob/network"
NET_INFO = "net-info.json"
_PLAN = "plan.json"
_OWNER = "owner.json"
_DEBTS = "debts.json"
_LIMIT_BYTES = 16 << 20
_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750


class Record:
    """One directory of the kind told above, by its descriptor, which it owns."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Closes the descriptor."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def plan(self) -> Plan:
        """The plan. Raises ``NotFound`` where there is none, ``CorruptData`` where it cannot be read."""
        try:
            raw = read_file(_PLAN, dir_fd=self.fd, limit_bytes=_LIMIT_BYTES)
        except FileNotFoundError as error:
            raise NotFound("the pod has no plan of networks") from error
        except OSError as error:
            raise CorruptData(f"{_PLAN} of the pod's networks cannot be read: {error.strerror}") from error
        return parse_plan(raw, f"{_PLAN} of the pod's networks")

    def write_plan(self, plan: Plan) -> None:
        """Writes the plan, whole or not at all."""
        self._replace(_PLAN, plan.text())

    def result(self, interface: str) -> dict[str, Any] | None:
        """What ADD answered; ``None`` where that is not known."""
        document = self._read(f"{interface}.json")
        found = document.get("result") if document is not None else None
        return found if isinstance(found, dict) else None

    def published(self, interface: str) -> list[dict[str, Any]] | None:
        """The port mappings that ADD was told, free ports chosen; ``None`` where that is not known."""
        document = self._read(f"{interface}.json")
        found = document.get("port_mappings") if document is not None else None
        return found if isinstance(found, list) else None

    def write_result(self, interface: str, result: dict[str, Any], published: list[dict[str, Any]]) -> None:
        """Keeps what ADD answered and which ports it was told."""
        document: dict[str, Any] = {"version": 1, "result": result, "port_mappings": published}
        self._replace(f"{interface}.json", (dumps(document) + "\n").encode())

    def is_released(self, interface: str) -> bool:
        """Whether the pod was detached from this network already."""
        try:
            os.stat(f"{interface}.released", dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def begin(self, interface: str) -> None:
        """Forgets what an earlier attachment left: that it was released, its result and debts."""
        for name in (f"{interface}.released", f"{interface}.json", _DEBTS):
            try:
                os.unlink(name, dir_fd=self.fd)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise failed(error, f"cannot remove {name}") from error

    def mark_released(self, interface: str) -> None:
        """Notes that nothing is left of this attachment."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(f"{interface}.released", flags, _FILE_MODE, dir_fd=self.fd))

    def debts(self) -> dict[str, str]:
        """Why detaching failed, by interface."""
        document = self._read(_DEBTS)
        found = document.get("attachments") if document is not None else None
        return {str(key): str(why) for key, why in found.items()} if isinstance(found, dict) else {}

    def write_debts(self, debts: dict[str, str]) -> None:
        """Notes what failed; without any the file goes."""
        if debts:
            self._replace(_DEBTS, (dumps({"version": 1, "attachments": debts}) + "\n").encode())
            return
        try:
            os.unlink(_DEBTS, dir_fd=self.fd)
        except FileNotFoundError:
            return

    def owner(self) -> str:
        """The pod's data directory, for a record among this boot's state; ``""`` where it is not known."""
        document = self._read(_OWNER)
        found = document.get("data_dir") if document is not None else None
        return found if isinstance(found, str) else ""

    def write_owner(self, data_dir: str) -> None:
        """Says whose pod this is."""
        self._replace(_OWNER, (dumps({"version": 1, "data_dir": data_dir}) + "\n").encode())

    def _read(self, name: str) -> dict[str, Any] | None:
        """A document; ``None`` where it is missing or cannot be read, as after a power loss.

        Raises ``OutOfResources`` where that is for want of descriptors or memory: nothing is missing then.
        """
        try:
            document = loads(read_file(name, dir_fd=self.fd, limit_bytes=_LIMIT_BYTES))
        except ValueError:
            return None
        except OSError as error:
            if is_shortage(error):
                raise failed(error, f"cannot read {name}") from error
            return None
        return document if isinstance(document, dict) else None

    def _replace(self, name: str, data: bytes) -> None:
        replace_file(self.fd, name, data)


def replace_file(dir_fd: int, name: str, data: bytes) -> None:
    """Writes a file by a temporary one and a rename, without a sync.

    Raises ``OutOfResources`` and its like.
    """
    temporary = f".{name}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(temporary, flags, _FILE_MODE, dir_fd=dir_fd)
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except OSError as error:
        raise failed(error, f"cannot write {name}") from error


def open_record(pod: int) -> Record | None:
    """The record in a pod's directory (a descriptor); ``None`` for a pod that has no networks."""
    try:
        own = open_directory_beneath("carob", pod)
    except FileNotFoundError:
        return None
    try:
        return Record(open_directory_beneath("network", own))
    except FileNotFoundError:
        return None
    finally:
        os.close(own)


def make_record(pod: int) -> Record:
    """The record in a pod's directory, made where it is missing."""
    for name in ("carob", DIRECTORY):
        try:
            os.mkdir(name, _DIRECTORY_MODE, dir_fd=pod)
        except FileExistsError:
            continue
    record = open_record(pod)
    assert record is not None
    return record


def open_state_record(path: str) -> Record | None:
    """A record among this boot's state; ``None`` where it is not there."""
    try:
        return Record(os.open(path, OPEN_DIRECTORY | os.O_NOFOLLOW))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise failed(error, f"cannot open {path}") from error


def make_state_record(path: str) -> Record:
    """A record among this boot's state, made with all directories above where it is missing.

    Raises ``PermissionDenied`` and its like.
    """
    try:
        make_private(path)
        return Record(os.open(path, OPEN_DIRECTORY | os.O_NOFOLLOW))
    except OSError as error:
        raise failed(error, f"cannot make {path}") from error
