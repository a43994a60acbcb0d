"""Addresses that the plugin host-local has given away: one file each, in a directory a network.

The file's name is the address; in it are the container's id and, on a second line, the interface. Whoever
changes anything holds flock(2) on the file ``lock`` beside them (plugins/ipam/host-local/backend/disk).
"""

from __future__ import annotations

import os

from carob.errors import CorruptData
from carob.linux.files import OPEN_DIRECTORY, read_file
from carob.network import locks
from carob.spec.cni.addresses import parse_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.network.attachment import Attachment

HOST_LOCAL = "host-local"
_DEFAULT_DIRECTORY = "/var/lib/cni/networks"
_LOCK = "lock"
_WAIT_S = 5.0


class Lease:
    """An address and who has it; ``container`` is ``""`` for an empty file, whose writer was killed."""

    __slots__ = ("container", "interface", "ip")

    def __init__(self, ip: str, container: str, interface: str) -> None:
        self.ip = ip
        self.container = container
        self.interface = interface

    def __repr__(self) -> str:
        return f"Lease({self.ip}, {self.container!r}, {self.interface!r})"


def directories(attachment: Attachment) -> list[str]:
    """Where host-local keeps the leases of an attachment's network; none where it is not used."""
    found = []
    for plugin in attachment.plugins:
        ipam = plugin.get("ipam")
        if isinstance(ipam, dict) and ipam.get("type") == HOST_LOCAL:
            base = ipam.get("dataDir")
            base = base if isinstance(base, str) and base.startswith("/") else _DEFAULT_DIRECTORY
            found.append(f"{base}/{attachment.network}")
    return found


def read(directory: str) -> list[Lease]:
    """All leases in a directory; none where it is not there."""
    try:
        fd = os.open(directory, OPEN_DIRECTORY)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CorruptData(f"cannot read the leases in {directory}: {error.strerror}") from error
    try:
        return [_lease(name, fd) for name in os.listdir(fd) if parse_ip(name) is not None]
    finally:
        os.close(fd)


def _lease(name: str, fd: int) -> Lease:
    try:
        lines = read_file(name, dir_fd=fd, limit_bytes=1 << 16).decode("utf-8", "replace").split()
    except FileNotFoundError:  # given back meanwhile
        lines = ["?"]
    return Lease(name, lines[0] if lines else "", lines[1] if len(lines) > 1 else "")


def release(directory: str, is_dead: Callable[[Lease], bool]) -> list[Lease]:
    """Gives back the leases that ``is_dead`` says so of, under host-local's own lock; returns them.

    An empty file is nobody's once the lock is held: its writer would hold it.
    """
    if not any(not lease.container or is_dead(lease) for lease in read(directory)):
        return []
    lock = locks.take(f"{directory}/{_LOCK}", wait_s=_WAIT_S)
    try:
        dead = [lease for lease in read(directory) if not lease.container or is_dead(lease)]
        for lease in dead:
            try:
                os.unlink(f"{directory}/{lease.ip}")
            except FileNotFoundError:
                continue
        return dead
    finally:
        lock.close()
