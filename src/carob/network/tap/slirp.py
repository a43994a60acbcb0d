"""slirp4netns(1): told of ports over a socket of its own, once it is at work."""

from __future__ import annotations

import os
import select
from _socket import AF_UNIX, SHUT_WR, SOCK_CLOEXEC, SOCK_STREAM, socket
from fcntl import F_DUPFD_CLOEXEC, fcntl
from time import monotonic

from carob.network.tap import inside
from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_READY = 3
_DIRECTORY = 4
_SOCKET = "slirp"
_API = f"/proc/self/fd/{_DIRECTORY}/{_SOCKET}"  # whatever the path is: a socket's may have 107 bytes
_MOST_BYTES = 1 << 16
# By a parent in the pod: what ends in there is to be reaped by the pod's init, or that could not end itself.
_IN_BACKGROUND = ("/bin/sh", "-c", '"$@" &', "sh")


def begin_slirp(
    line: Callable[..., list[str]], directory: str, ports: list[dict[str, Any]], limit_s: float
) -> str:
    """Starts it, to stay, and has it publish ports; what went wrong, or nothing.

    Where something did, the pod is not started, and takes it along.
    """
    deadline = monotonic() + limit_s
    ours = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _remove_socket(ours)
    ready, theirs = os.pipe2(os.O_CLOEXEC)
    # Apart from the numbers that the program has them by.
    writing, api = (fcntl(one, F_DUPFD_CLOEXEC, _DIRECTORY + 1) for one in (theirs, ours))
    argv = [*_IN_BACKGROUND, *line(ready_fd=_READY, api=_API)]
    program = inside.Program(argv, ((writing, _READY), (api, _DIRECTORY)))
    for descriptor in (theirs, writing, api):
        os.close(descriptor)
    program.status(limit_s)
    poll = select.poll()
    poll.register(ready, select.POLLIN)
    if not poll.poll(limit_s * 1000) or os.read(ready, 1) != b"1":
        return program.said() or "it is not ready"
    try:
        for mapping in ports:
            trouble = _publish(ours, mapping, max(0.1, deadline - monotonic()))
            if trouble:
                return trouble
    except (OSError, ValueError) as error:
        return f"it does not take ports: {error}"
    _remove_socket(ours)
    return ""


def _publish(directory: int, mapping: dict[str, Any], limit_s: float) -> str:
    request: Any = {
        "execute": "add_hostfwd",
        "arguments": {
            "proto": mapping["protocol"],
            "host_addr": mapping.get("hostIP") or "0.0.0.0",
            "host_port": mapping["hostPort"],
            "guest_port": mapping["containerPort"],
        },
    }
    link = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
    try:
        link.settimeout(limit_s)
        link.connect(f"/proc/self/fd/{directory}/{_SOCKET}")
        link.send(dumps(request).encode())
        link.shutdown(SHUT_WR)
        raw = bytearray()
        while len(raw) < _MOST_BYTES and (more := link.recv(_MOST_BYTES)):
            raw += more
    finally:
        link.close()
    answer = loads(bytes(raw))
    error = answer.get("error") if isinstance(answer, dict) else answer
    if not error:
        return ""
    said = error.get("desc", error) if isinstance(error, dict) else error
    return f"add_hostfwd of port {mapping['hostPort']}: {said}"


def _remove_socket(directory: int) -> None:
    try:
        os.unlink(_SOCKET, dir_fd=directory)
    except FileNotFoundError:
        return
