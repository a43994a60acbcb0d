"""Messages between caller, monitor and init: one JSON object a packet, descriptors beside it."""

from __future__ import annotations

import os
from _socket import (
    AF_UNIX,
    CMSG_SPACE,
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_TRUNC,
    SCM_RIGHTS,
    SOCK_CLOEXEC,
    SOCK_SEQPACKET,
    SOL_SOCKET,
    socket,
    socketpair,
)

from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
MAX_BYTES = 131072
MAX_DESCRIPTORS = 8


def pair() -> tuple[socket, socket]:
    """Two connected ends, closed on exec."""
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)


def send(channel: socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """Sends one message; ``OSError`` where nobody is there to hear it."""
    raw = dumps({"v": VERSION, **message}).encode()
    if not descriptors:
        channel.send(raw)
        return
    words = b"".join([fd.to_bytes(4, "little") for fd in descriptors])
    channel.sendmsg([raw], [(SOL_SOCKET, SCM_RIGHTS, words)])


def receive(channel: socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message and the descriptors that came with it; (None, []) at the end.

    ``ValueError`` for what is no message, or one of a version yet to come; its descriptors are closed.
    """
    raw, flags, descriptors = hear(channel)
    if not raw:
        close_all(descriptors)
        return None, []
    try:
        return _checked(raw, flags), descriptors
    except ValueError:
        close_all(descriptors)
        raise


def hear(channel: socket) -> tuple[bytes, int, list[int]]:
    """The next packet as it is, with its flags (recvmsg(2)) and descriptors; an empty one at the end."""
    raw, ancillary, flags, _ = channel.recvmsg(MAX_BYTES, CMSG_SPACE(4 * MAX_DESCRIPTORS), MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for level, kind, data in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            whole = len(data) - len(data) % 4
            descriptors += [int.from_bytes(data[at : at + 4], "little") for at in range(0, whole, 4)]
    return raw, flags, descriptors


def _checked(raw: bytes, flags: int) -> dict[str, Any]:
    if flags & MSG_CTRUNC:
        raise ValueError("the message came without its descriptors: too many are open")
    if flags & MSG_TRUNC:
        raise ValueError("the message is too long")
    message = loads(raw)
    if not isinstance(message, dict) or not isinstance(message.get("v"), int):
        raise ValueError("this is not a message")
    if message["v"] > VERSION:
        raise ValueError(f"the message has version {message['v']}; this carob knows up to {VERSION}")
    return message


def close_all(descriptors: list[int]) -> None:
    """Closes descriptors that came with a message."""
    for descriptor in descriptors:
        os.close(descriptor)


__all__ = ["close_all", "hear", "pair", "receive", "send"]
