"""A subnet for each of carob's own bridges: one that this host has no other use for, chosen once a boot.

What is taken: the networks of the host's addresses and routes, in all tables; its name servers; the subnets
that other networks are configured with. Default routes take nothing, nor do routes as wide as those by which
VPNs replace one.
"""

from __future__ import annotations

import os
from _socket import if_nametoindex

from carob.errors import OutOfResources
from carob.linux.files import OPEN_DIRECTORY, read_file
from carob.network import locks, netlink
from carob.network.host_resolver import host_resolver
from carob.network.record import replace_file
from carob.protocol.compact_json import dumps, loads
from carob.spec.cni.addresses import Cidr, parse_address, parse_cidr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from carob.network.places import Places

_FILE = "subnets.json"
_LOCK_WAIT_S = 10.0
_WIDEST = 8  # a route with a shorter prefix is a default route in disguise
_WIDE = 16
_USUAL_MTU = 1500


class Subnet:
    """A bridge's subnet, and the MTU of its links; 0 for the kernel's own."""

    __slots__ = ("cidr", "mtu")

    def __init__(self, cidr: Cidr, mtu: int) -> None:
        self.cidr = cidr
        self.mtu = mtu


def subnet_for(bridge: str, places: Places, taken: Callable[[], Iterable[Cidr]]) -> Subnet:
    """The subnet of a bridge of carob's: the one chosen before, or a new choice, the same for all who ask at
    once.

    A choice is good for as long as the bridge is there; after that, for as long as nothing else has come to
    use it. ``taken`` tells what other networks are configured with. Raises ``OutOfResources`` where
    everything is taken.
    """
    found = _read(places).get(bridge)
    if found is not None and _is_there(bridge):
        return found
    lock = locks.take(f"{places.state}/locks/.subnets", wait_s=_LOCK_WAIT_S)
    try:
        chosen = _read(places)
        before = chosen.pop(bridge, None)
        others = [*taken(), *(subnet.cidr for subnet in chosen.values())]
        if before is not None and (_is_there(bridge) or not _collides(before.cidr, others)):
            return before
        chosen[bridge] = _existing(bridge) or _choose(others)
        _write(places, chosen)
        return chosen[bridge]
    finally:
        lock.close()


def _is_there(bridge: str) -> bool:
    try:
        return bool(if_nametoindex(bridge))
    except OSError:
        return False


def _read(places: Places) -> dict[str, Subnet]:
    try:
        document = loads(read_file(f"{places.state}/{_FILE}"))
        found = {}
        for bridge, item in document["bridges"].items():
            cidr = parse_cidr(item["subnet"])
            if cidr is not None:
                found[bridge] = Subnet(cidr, int(item["mtu"]))
        return found
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(places: Places, chosen: dict[str, Subnet]) -> None:
    bridges: dict[str, Any] = {
        bridge: {"subnet": str(subnet.cidr), "mtu": subnet.mtu} for bridge, subnet in chosen.items()
    }
    fd = os.open(places.state, OPEN_DIRECTORY)
    try:
        replace_file(fd, _FILE, (dumps({"version": 1, "bridges": bridges}) + "\n").encode())
    finally:
        os.close(fd)


def _existing(bridge: str) -> Subnet | None:
    """What a bridge that is there already has: its choice was made by who made it."""
    for link in netlink.links():
        if link.name == bridge:
            for index, cidr in netlink.addresses():
                if index == link.index and cidr.version == 4:
                    return Subnet(cidr.network(), link.mtu if link.mtu < _USUAL_MTU else 0)
    return None


def _taken(others: list[Cidr]) -> tuple[list[Cidr], list[Cidr]]:
    """What is in use, and apart from it the routes so wide that they may have to be lived with."""
    routes = [cidr for _, cidr in netlink.routes()]
    near = [*others, *(cidr.network() for _, cidr in netlink.addresses()), *_name_servers()]
    near += [cidr for cidr in routes if cidr.length >= _WIDE]
    return near, [cidr for cidr in routes if _WIDEST <= cidr.length < _WIDE]


def _collides(cidr: Cidr, others: list[Cidr]) -> bool:
    return any(cidr.overlaps(other) for other in _taken(others)[0])


def _choose(others: list[Cidr]) -> Subnet:
    near, wide = _taken(others)
    found = first_free([*near, *wide]) or first_free(near)
    if found is None:
        raise OutOfResources(
            "every subnet that carob would take for a bridge is in use on this host",
            hint="configure a network of the same name with a subnet, in /etc/carob/net.d",
        )
    return Subnet(found, _mtu())


def first_free(taken: Iterable[Cidr]) -> Cidr | None:
    """The first candidate that overlaps with nothing that is taken."""
    known = [cidr for cidr in taken if cidr.version == 4]
    return next((one for one in candidates() if not any(one.overlaps(other) for other in known)), None)


def candidates() -> Iterator[Cidr]:
    """Private networks (RFC 1918) in the order in which they are tried, those of other engines last."""
    for second in (*range(78, 88), *range(112, 128)):
        yield Cidr(4, 10 << 24 | second << 16, 16)
    for third in range(240, 256, 16):
        yield Cidr(4, 192 << 24 | 168 << 16 | third << 8, 20)
    for second in range(31, 15, -1):
        yield Cidr(4, 172 << 24 | second << 16, 16)
    for third in range(32, 240, 16):
        yield Cidr(4, 192 << 24 | 168 << 16 | third << 8, 20)


def _name_servers() -> list[Cidr]:
    found = [parse_address(server.partition("%")[0]) for server in host_resolver().servers]
    return [cidr for cidr in found if cidr is not None]


def _mtu() -> int:
    """The MTU of the way out, where it is below the usual: packets of pods must fit, too."""
    outward = {index for index, cidr in netlink.routes() if cidr.length == 0 and index}
    values = [link.mtu for link in netlink.links() if link.index in outward and link.name != "lo"]
    smallest = min(values, default=_USUAL_MTU)
    return smallest if smallest < _USUAL_MTU else 0
