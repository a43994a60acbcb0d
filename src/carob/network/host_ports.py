"""Ports of the host that a pod publishes, held as sockets while it runs.

Rules in the packet filter know no conflict: of two pods with one port the first would get all, and a program
of the host that listens there would hear no more. A bound socket is what the kernel refuses to give twice; it
hears nothing itself, for packets are led away before they reach it.
"""

from __future__ import annotations

import errno
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_REUSEADDR,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)

from carob.errors import Conflict, InvalidInput, OutOfResources, PermissionDenied
from carob.spec.cni.port_mappings import mapping_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.spec.cni.port_mappings import PortMapping

_KINDS = {"tcp": SOCK_STREAM, "udp": SOCK_DGRAM}


class Held:
    """Ports that are held: the mappings with every port known, and the ``sockets`` to keep open."""

    __slots__ = ("mappings", "sockets")

    def __init__(self) -> None:
        self.mappings: list[dict[str, Any]] = []
        self.sockets: list[socket] = []

    def close(self) -> None:
        """Lets go of the ports."""
        while self.sockets:
            self.sockets.pop().close()


def hold(mappings: list[dict[str, Any]]) -> Held:
    """Takes the host's ports of all mappings, or none; a host port 0 becomes one that is free.

    Raises ``Conflict`` for a port that is in use, ``PermissionDenied``, and ``InvalidInput`` for an address
    that is not the host's. Ports of SCTP are not held.
    """
    held = Held()
    try:
        for mapping in mappings:
            held.mappings.append(_hold(mapping, held))
    except BaseException:
        held.close()
        raise
    return held


def _hold(document: dict[str, Any], held: Held) -> dict[str, Any]:
    mapping = mapping_of(document)
    kind = _KINDS.get(mapping.protocol)
    if kind is None:
        if not mapping.host_port:
            raise InvalidInput(f"a free port of {mapping.protocol} cannot be chosen", hint="name the port")
        return document
    family = AF_INET6 if ":" in mapping.host_ip else AF_INET
    try:
        try:
            made = _bound(family, kind, mapping)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or kind != SOCK_STREAM:
                raise
            made = _bound(family, kind, mapping, over_old_connections=True)
    except OSError as error:
        raise _refusal(error, str(mapping)) from error
    held.sockets.append(made)
    return {**document, "hostPort": made.getsockname()[1]}


def _bound(family: int, kind: int, mapping: PortMapping, *, over_old_connections: bool = False) -> socket:
    """A socket that has the port and refuses connections.

    Connections of before that are not forgotten yet (TIME_WAIT) keep it from being bound, unless it is a
    socket that shares its address; that one has to listen, or others would be let in as well.
    """
    made = socket(family, kind | SOCK_CLOEXEC)
    try:
        if family == AF_INET6:
            made.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
        if over_old_connections:
            made.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        made.bind((mapping.host_ip or "0.0.0.0", mapping.host_port))
        if over_old_connections:
            made.listen(0)
    except BaseException:
        made.close()
        raise
    return made


def _refusal(error: OSError, mapping: str) -> Conflict | InvalidInput | OutOfResources | PermissionDenied:
    what = f"port mapping {mapping}: {error.strerror}"
    match error.errno:
        case errno.EADDRINUSE:
            return Conflict(what, hint="another pod or program has this port of the host; choose another")
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT | errno.EINVAL:
            return InvalidInput(what, hint="name an address of this host")
        case errno.EACCES | errno.EPERM:
            return PermissionDenied(what)
        case _:
            return OutOfResources(what)
