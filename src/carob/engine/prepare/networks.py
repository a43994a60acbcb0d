"""A pod's networks as they are written down when it is prepared, and what its apps get of them."""

from __future__ import annotations

import os

from carob.engine.prepare import files as pod_files
from carob.network.places import users_places
from carob.network.planning import make_plan
from carob.network.record import make_record
from carob.protocol import pod_network
from carob.spec.cni.network_option import NETWORKS
from carob.spec.cni.port_mappings import check_mappings, resolve_named
from carob.spec.cni.resolver import FROM_NETWORKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from carob.engine.request.networking import Networking
    from carob.runtime.bundle import Volume
    from carob.spec.cni.port_mappings import PortMapping

    Port = tuple[str, int, int, str]


class Surroundings:
    """What a pod that asks something of networks gets.

    ``plan`` is the launch plan's part of it, ``None`` for a pod that is attached to nothing; ``volumes`` and
    ``hooks`` are for the bundle of each app, ``files`` the contents of the pod's own files by their paths.
    """

    __slots__ = ("files", "hooks", "plan", "volumes")

    def __init__(self, plan: dict[str, Any] | None, files: dict[str, str]) -> None:
        self.plan = plan
        self.files = files
        self.volumes: list[Volume] = pod_files.volumes(files)
        self.hooks = pod_network.hooks() if plan is not None else None


def surround(
    pod: int, uuid: str, networking: Networking, hostname: str, ports: Iterable[Port]
) -> Surroundings:
    """Writes the plan of the networks into the pod's directory (a descriptor).

    ``ports`` are those of all its apps: name, first port, count, protocol. Raises what ``make_plan`` does;
    a plain user's pods are on a network by ``carob.network.tap``.
    """
    files = pod_files.contents(networking, hostname)
    if networking.wanted.kind != NETWORKS:
        return Surroundings(None, files)
    mappings = _mappings(networking, list(ports))
    if os.geteuid() != 0:
        from carob.network.tap import planning as tap

        plan, places = tap.make_plan(uuid, networking.wanted, mappings), None
    else:
        places = users_places().document()
        plan = make_plan(
            uuid,
            networking.wanted,
            users_places(),
            mappings=mappings,
            resolver=networking.resolver.resolver,
        )
    with make_record(pod) as record:
        record.write_plan(plan)
    document: dict[str, Any] = {
        "places": places,
        "hostname": hostname,
        "resolver": networking.resolver.origin == FROM_NETWORKS,
    }
    return Surroundings(document, files)


def _mappings(networking: Networking, ports: list[Port]) -> list[PortMapping]:
    found = [*networking.ports]
    for named in networking.named_ports:
        found += resolve_named(named, ports)
    check_mappings(found)
    return found
