"""What a pod asks of networks, ports, name servers and hosts, checked when it is asked.

A pod that asks for nothing of the kind has loopback alone, and loads none of this.
"""

from __future__ import annotations

from carob.engine.request import inputs
from carob.errors import InvalidInput
from carob.protocol.pod_network import CNI
from carob.spec.cni import network_option, port_mappings
from carob.spec.cni.addresses import format_ip, parse_ip
from carob.spec.cni.network_option import DEFAULT, NETWORKS, NONE
from carob.spec.cni.resolver import wanted_resolver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from carob.spec.cni.network_option import WantedNetworks
    from carob.spec.cni.port_mappings import NamedPort, PortMapping
    from carob.spec.cni.resolver import WantedResolver

HOST_FILE = "host"
_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class Networking:
    """The networks ``wanted``, the host's ports that lead to the pod by number (``ports``) and by the apps'
    names (``named_ports``), the ``resolver``, and ``hosts``, pairs of address and name.

    With ``hosts_of_host`` the pod's hosts begin with the host's.
    """

    __slots__ = ("hosts", "hosts_of_host", "named_ports", "ports", "resolver", "wanted")

    def __init__(
        self,
        wanted: WantedNetworks,
        *,
        ports: tuple[PortMapping, ...],
        named_ports: tuple[NamedPort, ...],
        resolver: WantedResolver,
        hosts: tuple[tuple[str, str], ...],
        hosts_of_host: bool,
    ) -> None:
        self.wanted = wanted
        self.ports = ports
        self.named_ports = named_ports
        self.resolver = resolver
        self.hosts = hosts
        self.hosts_of_host = hosts_of_host

    @property
    def kind(self) -> str:
        """``none``, ``host``, or ``cni``."""
        return CNI if self.wanted.kind == NETWORKS else self.wanted.kind


def networking(
    network: str | Sequence[str] | None,
    *,
    ports: Sequence[str],
    dns: Sequence[str],
    dns_search: Sequence[str],
    dns_domain: str,
    dns_options: Sequence[str],
    hosts: Mapping[str, str] | Sequence[str],
) -> Networking:
    """What the arguments of ``PodRequest`` with these names ask for together. Raises ``InvalidInput``."""
    by_number, by_name = _ports(inputs.words(ports, "ports", one="a port"))
    if network is None:
        network = DEFAULT if by_number or by_name else NONE
    wanted = _networks(network)
    if wanted.kind != NETWORKS and (by_number or by_name):
        raise InvalidInput(
            f"ports cannot be published with the network {wanted.kind!r}",
            hint="leave --net out, or name one" if wanted.kind == NONE else "apps listen on the host itself",
        )
    entries = _hosts(hosts)
    return Networking(
        wanted,
        ports=by_number,
        named_ports=by_name,
        resolver=wanted_resolver(
            inputs.words(dns, "dns", one="a name server"),
            search=inputs.words(dns_search, "dns_search", one="a domain"),
            domain=inputs.word(dns_domain, "dns_domain"),
            options=inputs.words(dns_options, "dns_options", one="an option"),
        ),
        hosts=tuple([entry for entry in entries if entry is not None]),
        hosts_of_host=None in entries,
    )


def _networks(network: Any) -> WantedNetworks:
    values = (network,) if isinstance(network, str) else inputs.words(network, "network", one="a network")
    for value in values:
        inputs.word(value, "network")
    return network_option.parse_networks(values or (NONE,))


def _ports(texts: Iterable[str]) -> tuple[tuple[PortMapping, ...], tuple[NamedPort, ...]]:
    """Those by number, and rkt's, by name: they begin with one."""
    by_number: list[PortMapping] = []
    by_name: list[NamedPort] = []
    for text in texts:
        first = text.partition(":")[0]
        if first[:1] != "[" and any(letter.isalpha() for letter in first.partition("/")[0]):
            by_name.append(port_mappings.parse_named_port(text))
        else:
            by_number += port_mappings.parse_ports(text)
    port_mappings.check_mappings(by_number)
    return tuple(by_number), tuple(by_name)


def _hosts(given: Any) -> list[tuple[str, str] | None]:
    """Pairs of address and name; ``None`` for the host's own file."""
    if hasattr(given, "keys"):
        return [_entry(address, name) for name, address in inputs.texts(given, "hosts").items()]
    return [_parsed(text) for text in inputs.words(given, "hosts", one="an entry of hosts")]


def _parsed(text: str) -> tuple[str, str] | None:
    """``NAME:ADDRESS`` as docker has it, ``ADDRESS=NAME`` as rkt has it, or ``host``."""
    if text == HOST_FILE:
        return None
    first, equals, second = text.partition("=")
    if not equals:
        second, colon, first = text.partition(":")
        if not colon:
            raise InvalidInput(f"{text!r} is no entry of hosts", hint="NAME:ADDRESS, ADDRESS=NAME, or host")
    elif parse_ip(first) is None:
        first, second = second, first
    return _entry(first, second)


def _entry(address: str, name: str) -> tuple[str, str]:
    found = parse_ip(address.removeprefix("[").removesuffix("]"))
    if found is None:
        raise InvalidInput(f"{address!r} is no IP address, for the host {name!r}")
    if not name or not _NAME_LETTERS.issuperset(name):
        raise InvalidInput(f"{name!r} is no name of a host")
    return format_ip(*found), name
