"""What a service tells the manager that started it (sd_notify(3))."""

from __future__ import annotations

import os
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, socket

VARIABLE = "NOTIFY_SOCKET"
_PATIENCE_S = 2.0


def address() -> str:
    """Where the manager listens: a path, or ``@`` and a name; ``""`` where there is no such manager."""
    found = os.environ.get(VARIABLE, "")
    return found if found.startswith(("/", "@")) else ""


def notify(state: str) -> bool:
    """Tells the manager ``READY=1`` and the like, a line each; whether there is one that listens.

    One whose queue is full is waited for two seconds.
    """
    if not (place := address()):
        return False
    sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC)
    sender.settimeout(_PATIENCE_S)
    try:
        sender.sendto(state.encode(), place.replace("@", "\0", 1))
    except OSError:
        return False  # a service that serves is worth more than word of it
    finally:
        sender.close()
    return True
