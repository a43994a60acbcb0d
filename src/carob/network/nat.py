"""``carob-nat``: the plugin that carob is itself. Masquerading, published ports, passage through the host's
filter.

It stands in a network's list of plugins like any other, after the one that makes the interface:

    {"type": "carob-nat", "capabilities": {"portMappings": true},
     "interface": "carob0", "subnets": ["10.86.0.0/16"], "ipMasq": true}

``interface`` is the host's (a bridge); without it the plugin serves interfaces of one pod each (``ptp``), and
only publishes ports. ``internal`` shuts the network off from everything but the host. What several pods share
is made once and looked at with each attachment, while the other plugins are at work.
"""

from __future__ import annotations

import os

from carob.errors import CommandFailed, InvalidInput
from carob.network import conntrack, iptables, locks, nat_rules
from carob.network.attachment import NAT
from carob.spec.cni.port_mappings import mapping_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from carob.network.attachment import Attachment
    from carob.network.iptables import Change, Rules
    from carob.network.places import Places
    from carob.network.tasks import Steps
    from carob.spec.cni.addresses import Cidr
    from carob.spec.cni.result import Result

_LOCK_WAIT_S = 10.0


def network_of(attachment: Attachment) -> nat_rules.Network | None:
    """What the list's ``carob-nat`` says; ``None`` for a list without one. Raises ``InvalidInput``."""
    for plugin in attachment.plugins:
        if plugin["type"] == NAT:
            return nat_rules.Network(attachment.network, plugin)
    return None


def prepare(networks: Iterable[nat_rules.Network], places: Places) -> Steps:
    """Steps that see to the rules that the pods of each network share.

    Their result is a dictionary with all rules of each family that was looked at.
    """
    found: dict[int, Rules] = {}
    for network in networks:
        for family in network.families() if network.interface else ():
            if family not in found:
                found[family] = yield from iptables.save(family)
            if nat_rules.network_change(found[family], network).lines:
                found[family] = yield from _set_up(network, family, places)
    return found


def _set_up(network: nat_rules.Network, family: int, places: Places) -> Steps:
    lock = locks.take(places.filter_setup_lock(), wait_s=_LOCK_WAIT_S)
    try:
        yield from iptables.change(family, lambda rules: nat_rules.network_change(rules, network))
    finally:
        lock.close()
    return (yield from iptables.save(family))


def publish(
    uuid: str,
    attachment: Attachment,
    network: nat_rules.Network,
    mappings: list[dict[str, Any]],
    result: Result,
    known: dict[int, Rules],
    places: Places,
) -> Steps:
    """Steps that lead ports of the host to the pod; ``known`` is what ``prepare`` found."""
    owner = nat_rules.pod_owner(uuid, attachment.interface)
    side = _hosts_side(network, result)
    served = False
    for address in _first_of_each_family(result):
        wanted = nat_rules.pod_rules(mappings, address, shared=bool(network.interface), interface=side)
        if not wanted:
            continue
        served = True
        family = address.version
        rules = known.get(family) or (yield from iptables.save(family))
        if not nat_rules.has_chains(rules):
            rules = yield from _set_up(network, family, places)
        yield from iptables.change(family, _pods(owner, wanted), known=rules)
        if family == 4 and side and any(_is_on_loopback(mapping) for mapping in mappings):
            _let_loopback_out(side)
        _forget_datagrams(family, mappings)
    if not served:
        raise InvalidInput(
            f"network {attachment.network}: the pod has no address that a published port could lead to",
            hint="publish on an address of the network's own IP version",
        )


def withdraw(uuid: str, interface: str, families: Iterable[int], *, limit_s: float) -> Steps:
    """Steps that take away the rules of the ports published on one of a pod's interfaces."""
    for family in families:
        if iptables.is_there(family):
            nothing = _pods(nat_rules.pod_owner(uuid, interface), [])
            yield from iptables.change(family, nothing, limit_s=limit_s)


def _pods(owner: str, wanted: list[nat_rules.Rule]) -> Callable[[Rules], Change]:
    return lambda rules: nat_rules.pod_change(rules, owner, wanted)


def check(
    uuid: str,
    attachment: Attachment,
    network: nat_rules.Network,
    mappings: list[dict[str, Any]],
    result: Result,
) -> Steps:
    """Steps of CHECK. Raises ``CommandFailed`` where a rule is missing."""
    side = _hosts_side(network, result)
    for address in _first_of_each_family(result):
        rules = yield from iptables.save(address.version)
        gone = nat_rules.missing(
            rules, f"network={network.name}", nat_rules.network_rules(network, address.version)
        )
        wanted = nat_rules.pod_rules(mappings, address, shared=bool(network.interface), interface=side)
        gone += nat_rules.missing(rules, nat_rules.pod_owner(uuid, attachment.interface), wanted)
        if gone:
            raise CommandFailed(
                f"network {attachment.network}: {len(gone)} rules are missing in the host's packet filter, "
                f"for one in {gone[0].chain}: {gone[0].condition} -j {gone[0].target}",
                hint="something emptied it; start the pod anew",
            )


def _hosts_side(network: nat_rules.Network, result: Result) -> str:
    """The interface by which the host reaches the pod; ``""`` where it does not."""
    names = [found.name for found in result.host_interfaces() if nat_rules.is_plain(found.name)]
    return network.interface or (names[0] if names else "")


def _first_of_each_family(result: Result) -> list[Cidr]:
    found: dict[int, Cidr] = {}
    for address in result.pod_addresses():
        found.setdefault(address.cidr.version, address.cidr)
    return list(found.values())


def _is_on_loopback(mapping: dict[str, Any]) -> bool:
    host_ip = mapping_of(mapping).host_ip
    return not host_ip or host_ip.startswith("127.")


def _let_loopback_out(interface: str) -> None:
    """Lets packets from 127.0.0.0/8 through to the pod, for ports published on the host's loopback."""
    try:
        fd = os.open(f"/proc/sys/net/ipv4/conf/{interface}/route_localnet", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"1")
        finally:
            os.close(fd)
    except OSError as error:
        raise CommandFailed(
            f"cannot let 127.0.0.1 reach pods through {interface}: {error.strerror}",
            hint="publish the port on another address of the host",
        ) from error


def _forget_datagrams(family: int, mappings: list[dict[str, Any]]) -> None:
    """Senders of datagrams that the kernel leads elsewhere from before are to reach the pod now."""
    ports = frozenset(mapping.host_port for mapping in map(mapping_of, mappings) if mapping.protocol == "udp")
    if ports:
        try:
            conntrack.forget_udp(family, ports)
        except OSError:
            return  # a kernel that does not tell; the entries expire by themselves
