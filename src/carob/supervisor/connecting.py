"""A connection into the pod's network, begun by init and handed to who asked for it over the control socket.

Init is in the pod's network already, so no process has to be made for it, and nothing of the caller's enters
the pod: a socket of the pod's goes out. To connect may take long; init does not wait for it.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LOOPBACK = {4: (AF_INET, "127.0.0.1"), 6: (AF_INET6, "::1")}
_LAST_PORT = 65535


def begin(message: dict[str, Any]) -> socket:
    """A socket that is connecting, or is connected, to ``port`` of the pod's loopback, of IP ``version``.

    It does not block. Raises ``OSError`` where it failed at once, ``ValueError`` for what is no port.
    """
    family, address = _LOOPBACK[int(message.get("version", 4))]
    port = int(message["port"])
    if not 0 < port <= _LAST_PORT:
        raise ValueError(f"{port} is no port")
    made = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
    try:
        made.connect((address, port))
    except BlockingIOError:
        return made
    except BaseException:
        made.close()
        raise
    return made
