"""The socket on which the OCI runtime hands over a terminal that it made (its ``--console-socket``)."""

from __future__ import annotations

from _socket import (
    AF_UNIX,
    CMSG_SPACE,
    MSG_CMSG_CLOEXEC,
    SCM_RIGHTS,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)


def listen(path: str) -> socket:
    """Makes the socket at ``path``."""
    console = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
    try:
        console.bind(path)
        console.listen(1)
    except BaseException:
        console.close()
        raise
    return console


def receive(console: socket) -> tuple[int, ...]:
    """The terminal's master, once the runtime has ended; empty where it sent none. Raises ``OSError``."""
    descriptor, _ = console._accept()  # type: ignore[attr-defined]
    connection = socket(fileno=descriptor)
    try:
        _, ancillary, _, _ = connection.recvmsg(4096, CMSG_SPACE(4), MSG_CMSG_CLOEXEC)
    finally:
        connection.close()
    return tuple(
        int.from_bytes(data[:4], "little")
        for level, kind, data in ancillary
        if level == SOL_SOCKET and kind == SCM_RIGHTS
    )
