"""rkt's ``--net``: which networks a pod joins, and what it asks of each.

=============================================  =====================================================
``none``                                       loopback alone
``host``                                       the host's own network
``default``, ``default-restricted``            networks that carob brings along
``NAME[,NAME...]``, ``all``                    networks that are configured; all of them
``NAME:IP=10.1.2.3;MAC=aa:bb:...;KEY=VALUE``   with an address, a hardware address, and ``CNI_ARGS``
=============================================  =====================================================

The first network's interface is ``eth0``, the second's ``eth1`` and so on. rkt sorts networks by the names of
their files; here they come in the order in which they are written.
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.spec.cni.addresses import format_ip, parse_address, parse_mac
from carob.spec.cni.names import network_name_fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    Kind = Literal["none", "host", "networks"]

NONE: Kind = "none"
HOST: Kind = "host"
NETWORKS: Kind = "networks"
ALL = "all"
DEFAULT = "default"
DEFAULT_RESTRICTED = "default-restricted"

MOST_NETWORKS = 32

_ALONE: dict[str, Kind] = {"none": NONE, "host": HOST}
_KEY_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_HINT = "none, host, all, or NAME[:IP=ADDRESS;MAC=ADDRESS;KEY=VALUE...], several with commas between"


class WantedNetwork:
    """One network that a pod joins.

    ``ips`` are addresses it asks for, with or without a prefix, ``mac`` a hardware address or ``""``,
    ``aliases`` names that others on the network may call it by, ``arguments`` what else goes into
    ``CNI_ARGS``.
    """

    __slots__ = ("aliases", "arguments", "ips", "mac", "name")

    def __init__(
        self,
        name: str,
        *,
        ips: tuple[str, ...] = (),
        mac: str = "",
        aliases: tuple[str, ...] = (),
        arguments: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Raises ``InvalidInput`` for what cannot be passed on."""
        self.name = name
        self.ips = tuple(_checked_ip(ip, name) for ip in ips)
        self.mac = _checked_mac(mac, name) if mac else ""
        self.aliases = aliases
        self.arguments = arguments
        if fault := network_name_fault(name):
            raise InvalidInput(f"the network's name {name!r} {fault}", hint=_HINT)
        for key, value in (*arguments, *(("ALIAS", alias) for alias in aliases)):
            _check_argument(key, value, name)
        if name == ALL and (ips or mac or aliases or arguments):
            raise InvalidInput("all networks together take no arguments", hint="name the network as well")

    def _key(self) -> tuple[object, ...]:
        return self.name, self.ips, self.mac, self.aliases, self.arguments

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WantedNetwork):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        """What ``parse_networks`` reads back."""
        words = [f"IP={ip}" for ip in self.ips]
        words += [f"MAC={self.mac}"] if self.mac else []
        words += [f"ALIAS={alias}" for alias in self.aliases]
        words += [f"{key}={value}" for key, value in self.arguments]
        return f"{self.name}:{';'.join(words)}" if words else self.name

    def __repr__(self) -> str:
        return f"WantedNetwork({str(self)!r})"


class WantedNetworks:
    """What a pod's ``--net`` says: its ``kind`` and, for ``NETWORKS``, which, in order."""

    __slots__ = ("kind", "networks")

    def __init__(self, kind: Kind, networks: tuple[WantedNetwork, ...] = ()) -> None:
        self.kind = kind
        self.networks = networks

    def __str__(self) -> str:
        return ",".join([str(network) for network in self.networks]) if self.networks else self.kind

    def __repr__(self) -> str:
        return f"WantedNetworks({str(self)!r})"


def parse_networks(values: Iterable[str]) -> WantedNetworks:
    """What all ``--net`` of a command say together; the default network where there is none.

    Raises ``InvalidInput``: for a network named twice, and for ``none`` or ``host`` together with others.
    """
    found: dict[str, WantedNetwork] = {}
    for word in [word for value in values for word in value.split(",")]:
        network = _parse_network(word)
        if network.name in found:
            raise InvalidInput(f"the network {network.name!r} is named twice", hint="a pod joins it once")
        found[network.name] = network
    for name, kind in _ALONE.items():
        if name in found:
            if len(found) > 1:
                raise InvalidInput(f"the network {name!r} goes with no other", hint=_HINT)
            return WantedNetworks(kind)
    if len(found) > MOST_NETWORKS:
        raise InvalidInput(f"{len(found)} networks; a pod joins at most {MOST_NETWORKS}")
    return WantedNetworks(NETWORKS, tuple(found.values()) or (WantedNetwork(DEFAULT),))


def _parse_network(text: str) -> WantedNetwork:
    name, colon, rest = text.partition(":")
    if not name:
        raise InvalidInput(f"{text!r} names no network", hint=_HINT)
    ips: list[str] = []
    aliases: list[str] = []
    arguments: dict[str, str] = {}
    mac = ""
    for word in rest.split(";") if colon else []:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise InvalidInput(f"network {name!r}: {word!r} is not KEY=VALUE", hint=_HINT)
        if key.upper() == "IP":
            ips.append(value)
        elif key.upper() == "ALIAS":
            aliases.append(value)
        elif key.upper() == "MAC":
            if mac:
                raise InvalidInput(f"network {name!r}: two hardware addresses")
            mac = value
        elif key in arguments:
            raise InvalidInput(f"network {name!r}: {key} is given twice")
        else:
            arguments[key] = value
    if name in _ALONE and colon:
        raise InvalidInput(f"the network {name!r} takes no arguments", hint=_HINT)
    return WantedNetwork(
        name, ips=tuple(ips), mac=mac, aliases=tuple(aliases), arguments=tuple(arguments.items())
    )


def _checked_ip(text: str, network: str) -> str:
    found = parse_address(text)
    if found is None:
        raise InvalidInput(f"network {network!r}: {text!r} is no IP address", hint="10.1.2.3 or 10.1.2.3/16")
    return str(found) if "/" in text else format_ip(found.version, found.address)


def _checked_mac(text: str, network: str) -> str:
    found = parse_mac(text)
    if found is None:
        raise InvalidInput(
            f"network {network!r}: {text!r} is no hardware address of an interface",
            hint="six bytes such as 02:00:00:12:34:56; the first one even",
        )
    return found


def _check_argument(key: str, value: str, network: str) -> None:
    if not key or not _KEY_LETTERS.issuperset(key):
        raise InvalidInput(f"network {network!r}: {key!r} is no name of an argument", hint=_HINT)
    if not value.isprintable() or ";" in value or "," in value:
        raise InvalidInput(f"network {network!r}: the value of {key} cannot be passed on", hint=_HINT)
