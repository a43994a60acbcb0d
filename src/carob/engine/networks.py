"""The networks that pods can be put on here, and whether those of a running pod are as they were made."""

from __future__ import annotations

import os

from carob.errors import Conflict, Unsupported
from carob.network.attachment import NAT
from carob.network.builtin import BRIDGES, SOURCE
from carob.network.configuration import Catalogue
from carob.network.inspection import check
from carob.network.places import users_places
from carob.pod import State
from carob.spec.cni.network_option import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from carob.errors import CarobError
    from carob.pod import Pod


class NetworkConfiguration:
    """A network by ``name``: the types of its ``plugins`` in the order in which they are called, where it is
    configured (``source``), and each plugin's configuration (``documents``; none for carob's own, which are
    made when the first pod needs them).
    """

    __slots__ = ("documents", "name", "plugins", "source")

    def __init__(
        self, name: str, source: str, plugins: tuple[str, ...], documents: tuple[dict[str, Any], ...]
    ) -> None:
        self.name = name
        self.source = source
        self.plugins = plugins
        self.documents = documents

    def __repr__(self) -> str:
        return f"NetworkConfiguration({self.name!r}, {self.source!r})"


def networks(broken: Callable[[str], object] | None) -> tuple[NetworkConfiguration, ...]:
    """All networks, in the order of their files, carob's own last; what is wrong with files goes to
    ``broken``. A plain user has one.
    """
    if os.geteuid() != 0:
        return _users_own(broken)
    catalogue = Catalogue(users_places())
    if broken is not None:
        for problem in catalogue.problems:
            broken(problem)
    found = []
    for name in catalogue.names():
        network = catalogue.networks.get(name)
        if network is None:
            found.append(NetworkConfiguration(name, f"{SOURCE}, {BRIDGES[name]}", ("bridge", NAT), ()))
        else:
            types = tuple([plugin.type for plugin in network.plugins])
            documents = tuple([plugin.document for plugin in network.plugins])
            found.append(NetworkConfiguration(name, network.source, types, documents))
    return tuple(found)


def _users_own(broken: Callable[[str], object] | None) -> tuple[NetworkConfiguration, ...]:
    """By the first program that is there; where none is, ``broken`` hears why."""
    from carob.network.tap import programs

    try:
        name, _ = programs.find()
    except Unsupported as error:
        if broken is not None:
            broken(f"{error.message} ({error.hint})")
        return ()
    return (NetworkConfiguration(DEFAULT, SOURCE, (name,), ()),)


def check_networks(pod: Pod, init: int | None) -> dict[str, CarobError]:
    """What is wrong with the networks of a running pod, by interface, as its plugins say (CNI's CHECK).

    Raises ``Conflict`` for a pod that does not run.
    """
    if pod.state() is not State.RUNNING or init is None:
        raise Conflict(f"pod {pod.uuid} is {pod.state()}: it is on no network")
    return check(pod.fd(), users_places(), namespace=f"/proc/{init}/ns/net")
