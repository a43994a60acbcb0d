"""A process of its own that attaches and detaches one pod, for a supervisor that stays small.

Started early, it loads all that it needs and then waits for ``messages``; it ends when its link is closed.
Either a fork calls ``main`` with the link, or ``python -I -S -c`` does, the link being descriptor 3. Killed
at any time it leaves nothing that ``detach`` does not find.
"""

from __future__ import annotations

import os
from _socket import socket

from carob.errors import CarobError, CommandFailed
from carob.linux.namespaces import set_process_name
from carob.network import messages
from carob.network.attach import PLUGIN_S, TOTAL_S, attach
from carob.network.detach import BUDGET_S, detach
from carob.network.places import places_of
from carob.network.pod_files import complete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from carob.network.attach import Attached

LINK = 3


def main(link_fd: int = LINK) -> NoReturn:
    """Answers every message on the link, to its end; never returns."""
    status = 1
    try:
        set_process_name("carob-network")
        serve(socket(fileno=link_fd))
        status = 0
    finally:
        os._exit(status)


def serve(link: socket) -> None:
    """Answers every message, to the end of the link."""
    while True:
        message, descriptors = messages.receive(link)
        if message is None:
            return
        try:
            _answer(link, message, descriptors)
        except CarobError as error:
            messages.send(link, messages.failure(error))
        except OSError as error:
            messages.send(link, messages.failure(CommandFailed(f"networks: {error}")))
        finally:
            messages.close_all(descriptors)


def _answer(link: socket, message: dict[str, Any], descriptors: list[int]) -> None:
    if message["op"] == "attach":
        attached = _attach(message, descriptors[0])
        if "hostname" in message:
            complete(descriptors[0], attached, hostname=message["hostname"], resolver=message["resolver"])
        held = [one.fileno() for one in attached.ports.sockets]
        for first in range(0, len(held), messages.MAX_DESCRIPTORS):
            messages.send(link, {"event": "ports"}, held[first : first + messages.MAX_DESCRIPTORS])
        messages.send(link, {"event": "attached"})
        attached.ports.close()
        return
    owed = detach(
        descriptors[0],
        places_of(message["places"]),
        namespace=message.get("namespace", ""),
        budget_s=message.get("budget_s", BUDGET_S),
    )
    messages.send(link, {"event": "detached", "owed": owed})


def _attach(message: dict[str, Any], pod: int) -> Attached:
    if message["places"] is None:
        from carob.network.tap import attach as tap

        return tap.attach(pod, namespace=message["namespace"])
    return attach(
        pod,
        places_of(message["places"]),
        namespace=message["namespace"],
        data_dir=message["data_dir"],
        plugin_s=message.get("plugin_s", PLUGIN_S),
        total_s=message.get("total_s", TOTAL_S),
    )
