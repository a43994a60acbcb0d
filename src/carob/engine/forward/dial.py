"""One connection to a port of a running pod, for who joins it with something of its own."""

from __future__ import annotations

import os
import select
import socket

from carob.engine.failures import Attempt
from carob.engine.observe.keeper import Deadline
from carob.engine.request import inputs
from carob.errors import Conflict, TimedOut
from carob.pod import Pod, open_pod
from carob.supervisor.client import Connection

_ANSWER_S = 10.0
_LAST_PORT = 65535


def dial(data_dir: str, uuid: str, port: int, *, timeout_s: float = 10.0) -> socket.socket:
    """A socket that is connected to ``port`` of the pod's loopback, IPv4's or else IPv6's. It does not block.

    Init begins it, and it belongs to the pod's network. Raises ``Conflict`` where nobody listens there,
    ``TimedOut``, ``Unavailable`` where the pod does not run, ``NotFound``.
    """
    port = inputs.whole(port, "a port", 1, _LAST_PORT)
    deadline = Deadline(timeout_s)
    with Attempt(f"pod {uuid} cannot be connected to", uuid), open_pod(data_dir, uuid) as pod:
        return _dial(pod, uuid, port, deadline)


def _dial(pod: Pod, uuid: str, port: int, deadline: Deadline) -> socket.socket:
    refusal: Exception | None = None
    with Connection(pod.fd(), uuid, _ANSWER_S) as init:
        for version in (4, 6):
            init.send({"op": "connect", "port": port, "version": version})
            try:
                _, received = init.receive()
                return _connected(received, deadline)
            except Conflict as error:
                refusal = error
            except OSError as error:
                refusal = error
                if isinstance(error, TimedOut):
                    raise
    raise Conflict(f"nothing listens on port {port} of pod {uuid}", hint="has the app begun to?") from refusal


def _connected(received: list[int], deadline: Deadline) -> socket.socket:
    """The socket once it is connected. Raises ``OSError`` where it cannot be, ``TimedOut``."""
    for descriptor in received[1:]:
        os.close(descriptor)
    made = socket.socket(fileno=received[0])
    try:
        poll = select.poll()
        poll.register(made, select.POLLOUT)
        if not poll.poll(deadline.poll_ms()):
            raise TimedOut("the app's port takes no connection")
        number = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, "no connection")
    except BaseException:
        made.close()
        raise
    made.setblocking(False)
    return made
