"""Sockets that systemd hands to a service (sd_listen_fds(3)); what it is told is ``carob.linux.notify``."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

_FIRST_FD = 3


def listening_sockets(environment: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets that were handed in, which are this process's from now on; none where there are none.

    Raises ``InvalidInput`` for what is no listening stream socket of this machine alone.
    """
    pid, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not (count.isascii() and count.isdecimal()):
        return []
    return [_checked(fd) for fd in range(_FIRST_FD, _FIRST_FD + int(count))]


def _checked(fd: int) -> socket.socket:
    os.set_inheritable(fd, False)
    try:
        found = socket.socket(fileno=fd)
        listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise InvalidInput(f"descriptor {fd} was handed in and is no socket: {error.strerror}") from error
    if found.type != socket.SOCK_STREAM or not listens:
        raise InvalidInput(
            f"the socket of descriptor {fd} does not listen for streams", hint="use ListenStream="
        )
    if found.family != socket.AF_UNIX and not ip_address(found.getsockname()[0]).is_loopback:
        raise InvalidInput(
            f"the socket of descriptor {fd} can be reached from elsewhere: {found.getsockname()[0]}",
            hint="with TLS the service listens itself: --listen and --tls-cert",
        )
    found.setblocking(False)
    return found
