"""What a process that attaches pods is told, and what it answers: one JSON object a packet.

- ``{"op": "attach", "namespace", "data_dir", "places"}``, perhaps ``plugin_s`` and ``total_s``, with a
  descriptor of the pod's directory. With ``hostname`` and ``resolver`` the pod's own hosts and resolv.conf
  are completed. Without places (``null``) the pod is a plain user's (``carob.network.tap``). Answered by any
  number of ``{"event": "ports"}``, each with sockets that are to be kept open while the pod runs, and one
  ``{"event": "attached"}``.
- ``{"op": "detach", "places"}``, perhaps ``namespace`` and ``budget_s``, with a descriptor of the pod's
  directory. Answered by ``{"event": "detached", "owed"}``: what could not be undone, by interface.
- Either may be answered by ``{"event": "failed", "kind", "message", "hint"}``: see ``error_of``.
"""

from __future__ import annotations

import os
from _socket import (
    AF_UNIX,
    CMSG_SPACE,
    MSG_CMSG_CLOEXEC,
    SCM_RIGHTS,
    SO_SNDBUF,
    SOCK_CLOEXEC,
    SOCK_SEQPACKET,
    SOL_SOCKET,
    socket,
    socketpair,
)

from carob import errors
from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

VERSION = 1
MAX_BYTES = 1 << 20
MAX_DESCRIPTORS = 8


def pair() -> tuple[socket, socket]:
    """Two connected ends, closed on exec, with room for the largest message."""
    ends = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
    for end in ends:
        end.setsockopt(SOL_SOCKET, SO_SNDBUF, MAX_BYTES)
    return ends


def send(link: socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Sends one message. Raises ``OSError`` where nobody is there to hear it."""
    raw = dumps({"v": VERSION, **message}).encode()
    words = b"".join([fd.to_bytes(4, "little") for fd in descriptors])
    link.sendmsg([raw], [(SOL_SOCKET, SCM_RIGHTS, words)] if words else [])


def receive(link: socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message and the descriptors with it; (None, []) at the end.

    ``ValueError`` for what is no message.
    """
    space = CMSG_SPACE(4 * MAX_DESCRIPTORS)
    raw, ancillary, _, _ = link.recvmsg(MAX_BYTES, space, MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
            whole = len(data) - len(data) % 4
            descriptors += [int.from_bytes(data[at : at + 4], "little") for at in range(0, whole, 4)]
    if not raw:
        close_all(descriptors)
        return None, []
    try:
        message = loads(raw)
        if not isinstance(message, dict) or message.get("v") != VERSION:
            raise ValueError("this is no message about networks, or one of another version")
    except ValueError:
        close_all(descriptors)
        raise
    return message, descriptors


def close_all(descriptors: list[int]) -> None:
    """Closes descriptors that came with a message."""
    for descriptor in descriptors:
        os.close(descriptor)


def failure(error: errors.CarobError) -> dict[str, Any]:
    """The message that tells of an error."""
    return {"event": "failed", "kind": error.kind, "message": error.message, "hint": error.hint}


def error_of(message: dict[str, Any]) -> errors.CarobError:
    """The error that a message tells of."""
    found = _by_kind(errors.CarobError).get(str(message.get("kind")), errors.CarobError)
    return found(str(message.get("message", "networks failed")), hint=str(message.get("hint", "")))


def _by_kind(kind: type[errors.CarobError]) -> dict[str, type[errors.CarobError]]:
    found = {kind.kind: kind}
    for one in kind.__subclasses__():
        if one.__module__ == errors.__name__ and one is not errors.AppStartFailed:
            found.update(_by_kind(one))
    return found
