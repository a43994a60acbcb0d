"""What plugins leave behind: rules and chains of the packet filter, interfaces, addresses.

The bridge and ptp plugins forget their masquerading where the pod's network namespace is gone; a plugin that
was killed forgets whatever it had begun. So all that carries the pod's id is looked for, by the names and
comments that the reference plugins use (containernetworking/plugins: pkg/utils, pkg/ip, meta/portmap,
meta/firewall).
"""

from __future__ import annotations

from carob.network import iptables, leases, netlink
from carob.network.attachment import NAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.network.attachment import Attachment
    from carob.network.iptables import Change, Rules
    from carob.network.tasks import Steps
    from carob.spec.cni.result import Interface

_CHAIN_LENGTH = 28
_PREFIXES = ("CNI-", "CNI-DN-", "CNI-SN-")
_FIREWALL = "firewall"
_FIREWALL_CHAIN = ("filter", "CNI-FORWARD")


def can_be(attachment: Attachment, *, complete: bool) -> bool:
    """Whether a DEL that succeeds without a namespace may leave rules.

    It may after an ADD that was cut short, and where another plugin than carob's masquerades.
    """
    masquerading = [plugin for plugin in attachment.plugins if plugin.get("ipMasq") is True]
    return not complete or any(plugin["type"] != NAT for plugin in masquerading)


def remove_rules(uuid: str, attachments: tuple[Attachment, ...], ips: list[str], *, limit_s: float) -> Steps:
    """Steps that remove the pod's rules and chains; ``ips`` are addresses that nobody else has now."""
    names = frozenset(
        chain_name(prefix, attachment.network, uuid) for attachment in attachments for prefix in _PREFIXES
    )
    filtered = ips if any(_FIREWALL in attachment.types() for attachment in attachments) else []
    for family in (4, 6):
        if iptables.is_there(family):
            yield from iptables.change(
                family, lambda rules: removal(rules, uuid, names, filtered), limit_s=limit_s
            )


def removal(rules: Rules, uuid: str, chains: frozenset[str], ips: list[str]) -> Change:
    """What takes away the rules that name the pod, the ``chains``, and firewall's rules for ``ips``."""
    change = iptables.Change()
    inside = {key for key in rules.chains if key[1] in chains}
    leading = [
        found
        for found in _all(rules)
        if (found[0], found[1]) not in inside
        and (uuid in found[2] or any(found[2].endswith(f"-j {name}") for _, name in inside))
    ]
    change.delete(leading)
    hosts = [f"{ip}/{128 if ':' in ip else 32}" for ip in ips]
    change.delete(
        (*_FIREWALL_CHAIN, rule)
        for rule in rules.chains.get(_FIREWALL_CHAIN, ())
        if any(f"-{way} {host} " in rule for host in hosts for way in "sd")
    )
    for table, name in sorted(inside):
        change.add(table, f"-F {name}")
        change.add(table, f"-X {name}")
    return change


def _all(rules: Rules) -> list[tuple[str, str, str]]:
    return [(table, chain, rule) for (table, chain), found in rules.chains.items() for rule in found]


def chain_name(prefix: str, network: str, uuid: str) -> str:
    """The name of a pod's chain, as the reference plugins make it."""
    return f"{prefix}{_sha512((network + uuid).encode())}"[:_CHAIN_LENGTH]


def _sha512(data: bytes) -> str:
    """Without OpenSSL, whose loading costs more than all that is hashed here."""
    try:
        from _sha2 import sha512  # Python 3.12 and later
    except ImportError:
        try:
            from _sha512 import sha512
        except ImportError:  # an interpreter that leaves hashing to OpenSSL
            from hashlib import sha512
    made: Any = sha512(data)
    return str(made.hexdigest())


def remove_links(interfaces: tuple[Interface, ...]) -> list[str]:
    """Deletes those of a result's interfaces on the host that were the pod's own; returns their names.

    The kernel does so when the pod's namespace goes; one that somebody holds open keeps them. An interface is
    known by name, kind and hardware address together, for names come back. Raises ``OSError``.
    """
    wanted = {(interface.name, interface.mac.lower()) for interface in interfaces if interface.mac}
    found = [link for link in netlink.links() if link.kind == "veth" and (link.name, link.mac) in wanted]
    for link in found:
        netlink.delete_link(link.index)
    return [link.name for link in found]


def held_ips(uuid: str, attachments: tuple[Attachment, ...]) -> list[str]:
    """The addresses that host-local has given to the pod, as its files say."""
    return [
        lease.ip
        for attachment in attachments
        for directory in leases.directories(attachment)
        for lease in leases.read(directory)
        if lease.container == uuid
    ]


def not_others(uuid: str, attachments: tuple[Attachment, ...], ips: list[str]) -> list[str]:
    """Those of the addresses that host-local has not given to another pod by now."""
    taken = {
        lease.ip
        for attachment in attachments
        for directory in leases.directories(attachment)
        for lease in leases.read(directory)
        if lease.container not in ("", uuid)
    }
    return [ip for ip in ips if ip not in taken]


def release_leases(uuid: str, attachments: tuple[Attachment, ...]) -> list[str]:
    """Gives back what host-local still has for the pod; returns the addresses."""
    return [
        lease.ip
        for attachment in attachments
        for directory in leases.directories(attachment)
        for lease in leases.release(directory, lambda one: one.container == uuid)
        if lease.container == uuid
    ]
