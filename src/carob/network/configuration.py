"""The networks that are configured on this host: which files there are, and what they say.

Files are ``*.conflist``, then ``*.conf`` and ``*.json``, in the order of their names; of two networks with
one name the first counts, in one directory as among several. A file that is wrong is told about only where
its network might be the one that is missing.
"""

from __future__ import annotations

import os

from carob.errors import CarobError, CorruptData, NotFound
from carob.linux.files import read_file
from carob.network import builtin
from carob.network.subnets import subnet_for
from carob.spec.cni.addresses import Cidr, parse_cidr
from carob.spec.cni.configuration import PluginConfiguration, parse_network
from carob.spec.oci.document import parse_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from carob.network.places import Places
    from carob.spec.cni.configuration import NetworkList

_LIST_ENDING = ".conflist"
_ENDINGS = (_LIST_ENDING, ".conf", ".json")
_LIMIT_BYTES = 1 << 20
_MOST_FILES = 1000


class Catalogue:
    """What was found: the networks by name, in the order of their files, and what is wrong elsewhere."""

    __slots__ = ("_places", "networks", "problems")

    def __init__(self, places: Places) -> None:
        """Reads all configurations of the directories. Raises nothing for what is in them."""
        self._places = places
        self.networks: dict[str, NetworkList] = {}
        self.problems: list[str] = []
        for directory in places.configurations:
            for path in self._files(directory):
                try:
                    network = _read(path)
                except CarobError as error:
                    self.problems.append(error.message)
                    continue
                self.networks.setdefault(network.name, network)

    def _files(self, directory: str) -> list[str]:
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self.problems.append(f"cannot read {directory}: {error.strerror}")
            return []
        wanted = [name for name in names if name.endswith(_ENDINGS) and not name.startswith(".")]
        if len(wanted) > _MOST_FILES:
            self.problems.append(f"{directory}: more than {_MOST_FILES} files; the rest is not read")
        wanted.sort(key=lambda name: (not name.endswith(_LIST_ENDING), name))
        return [f"{directory}/{name}" for name in wanted[:_MOST_FILES]]

    def names(self) -> list[str]:
        """The names of all networks: those configured, then carob's own."""
        return [*self.networks, *(name for name in builtin.BRIDGES if name not in self.networks)]

    def get(self, name: str) -> NetworkList:
        """The network of that name.

        Raises ``NotFound``, which tells of files that could not be read, and what ``subnet_for`` raises.
        """
        found = self.networks.get(name)
        if found is not None:
            return found
        if name not in builtin.BRIDGES:
            raise NotFound(
                f"there is no network {name!r}" + "".join([f"; {problem}" for problem in self.problems[:3]]),
                hint=f"networks: {', '.join(self.names())}; more go into {self._places.configurations[0]}"
                if self._places.configurations
                else f"networks: {', '.join(self.names())}",
            )
        subnet = subnet_for(builtin.BRIDGES[name], self._places, self._subnets)
        document = builtin.configuration(name, subnet.cidr, mtu=subnet.mtu, leases=self._places.leases())
        return parse_network(document, builtin.SOURCE)

    def _subnets(self) -> list[Cidr]:
        """The subnets that the configured networks give addresses from."""
        return [
            cidr.network()
            for network in self.networks.values()
            for plugin in network.plugins
            for cidr in _cidrs(plugin.document.get("ipam"))
        ]


def _cidrs(ipam: Any) -> Iterator[Cidr]:
    """All prefixes that stand anywhere in a plugin's ``ipam``, but for its routes."""
    if isinstance(ipam, dict):
        for key, value in ipam.items():
            if key != "routes":
                yield from _cidrs(value)
    elif isinstance(ipam, list):
        for value in ipam:
            yield from _cidrs(value)
    elif isinstance(ipam, str):
        found = parse_cidr(ipam)
        if found is not None:
            yield found


def _read(path: str) -> NetworkList:
    """One file, with the plugins of the folder that is named after its network (CNI 1.1)."""
    network = parse_network(_document(path), path)
    if network.only_inlined:
        return network
    folder = f"{os.path.dirname(path)}/{network.name}"
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".conf"))
    except (FileNotFoundError, NotADirectoryError):
        names = []
    except OSError as error:
        raise CorruptData(f"cannot read {folder}: {error.strerror}") from error
    paths = [f"{folder}/{name}" for name in names]
    return network.with_plugins([PluginConfiguration(_document(one), one) for one in paths])


def _document(path: str) -> dict[str, Any]:
    try:
        raw = read_file(path, limit_bytes=_LIMIT_BYTES)
    except OSError as error:
        raise CorruptData(f"cannot read {path}: {error.strerror}") from error
    return parse_document(raw, path)
