"""The rules of ``carob-nat``: those of a network, once a host, and those of a pod's published ports. Pure.

In the table nat ``CAROB-PORTS`` (from PREROUTING and OUTPUT) leads the host's ports to pods and
``CAROB-MASQ`` (from POSTROUTING) gives what leaves the host its address. In the table filter
``CAROB-FORWARD`` lets a network's packets pass, whatever the host's policy is, and ``CAROB-INPUT`` keeps pods
from the host's loopback.

Each rule's comment says whose it is: ``carob anchor=…``, ``carob network=NAME rule=…``, ``carob pod=UUID …``.
The digest of a rule that carob would write today is part of it, so a rule of another release is told apart
and replaced.
"""

from __future__ import annotations

from binascii import crc32

from carob.errors import InvalidInput
from carob.network.iptables import Change
from carob.spec.cni.addresses import parse_cidr
from carob.spec.cni.names import interface_name_fault
from carob.spec.cni.port_mappings import mapping_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.network.iptables import Rules
    from carob.spec.cni.addresses import Cidr

PORTS = "CAROB-PORTS"
MASQUERADE = "CAROB-MASQ"
FORWARD = "CAROB-FORWARD"
ADMIN = "CAROB-ADMIN"
INPUT = "CAROB-INPUT"
CHAINS = (("nat", PORTS), ("nat", MASQUERADE), ("filter", ADMIN), ("filter", FORWARD), ("filter", INPUT))

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")

_TO_HOST = "-m addrtype --dst-type LOCAL"
_PUBLISHED = "-m conntrack --ctstate DNAT"
_KNOWN = "-m conntrack --ctstate RELATED,ESTABLISHED"
_KNOWN_OR_PUBLISHED = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT"
_NEITHER = "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT"

_TO_THE_END = "-A"
_TO_THE_FRONT = "-I"

# The ways into carob's chains: (table, chain, where in it, condition, target).
_ANCHORS = (
    ("nat", "PREROUTING", _TO_THE_END, _TO_HOST, PORTS),
    ("nat", "OUTPUT", _TO_THE_END, _TO_HOST, PORTS),
    ("nat", "POSTROUTING", _TO_THE_END, "", MASQUERADE),
    ("filter", FORWARD, _TO_THE_FRONT, "", ADMIN),
    ("filter", "FORWARD", _TO_THE_FRONT, "", FORWARD),
    ("filter", "INPUT", _TO_THE_FRONT, "", INPUT),
)


class Rule:
    """A rule that is wanted: where, on what condition, and what it does."""

    __slots__ = ("chain", "condition", "table", "target")

    def __init__(self, table: str, chain: str, condition: str, target: str) -> None:
        self.table = table
        self.chain = chain
        self.condition = condition
        self.target = target

    def digest(self) -> str:
        """Tells it from other rules of its owner."""
        return f"{crc32(f'{self.table} {self.chain} {self.condition} {self.target}'.encode()):08x}"

    def text(self, owner: str) -> str:
        """Its arguments, with the comment that says whose it is."""
        comment = f'-m comment --comment "carob {owner} rule={self.digest()}"'
        return " ".join([part for part in (self.condition, comment, f"-j {self.target}") if part])


class Network:
    """What the configuration of ``carob-nat`` says.

    ``interface`` is the host's, through which the pods are reached; ``""`` where each pod has its own.
    ``subnets`` are masqueraded if ``masquerade``; an ``internal`` network reaches nothing but the host.
    """

    __slots__ = ("interface", "internal", "masquerade", "name", "subnets")

    def __init__(self, name: str, configuration: dict[str, Any]) -> None:
        """Raises ``InvalidInput`` for values that cannot be."""
        self.name = name
        self.interface = _text(configuration, "interface")
        self.masquerade = configuration.get("ipMasq") is True
        self.internal = configuration.get("internal") is True
        if self.interface and not is_plain(self.interface):
            raise InvalidInput(f"network {name}: carob-nat cannot use an interface named {self.interface!r}")
        subnets = configuration.get("subnets", [])
        if not isinstance(subnets, list):
            raise InvalidInput(f"network {name}: carob-nat: subnets is no list")
        self.subnets = tuple(_subnet(item, name) for item in subnets)

    def families(self) -> tuple[int, ...]:
        """The IP versions of its subnets; 4 where it names none."""
        return tuple(sorted({subnet.version for subnet in self.subnets})) or (4,)


def _text(configuration: dict[str, Any], key: str) -> str:
    value = configuration.get(key, "")
    if not isinstance(value, str):
        raise InvalidInput(f"carob-nat: {key} is no text")
    return value


def _subnet(item: object, name: str) -> Cidr:
    found = parse_cidr(item) if isinstance(item, str) else None
    if found is None:
        raise InvalidInput(f"network {name}: carob-nat: {item!r} is no subnet", hint="such as 10.1.0.0/16")
    return found.network()


def is_plain(interface: str) -> bool:
    """Whether the name of an interface can stand in a rule as it is."""
    return not interface_name_fault(interface) and _PLAIN.issuperset(interface) and interface[0] != "-"


def network_rules(network: Network, family: int) -> list[Rule]:
    """The rules that all pods of the network share."""
    interface = network.interface
    if not interface:
        return []
    if network.internal:
        found = [
            Rule("filter", FORWARD, f"-i {interface} ! -o {interface}", "DROP"),
            Rule("filter", FORWARD, f"-o {interface} ! -i {interface}", "DROP"),
        ]
    else:
        found = [
            Rule("filter", FORWARD, f"-i {interface}", "ACCEPT"),
            Rule("filter", FORWARD, f"-o {interface} {_KNOWN_OR_PUBLISHED}", "ACCEPT"),
        ]
    for subnet in [subnet for subnet in network.subnets if subnet.version == family]:
        if network.masquerade and not network.internal:
            found.append(Rule("nat", MASQUERADE, f"-s {subnet} ! -o {interface}", "MASQUERADE"))
        found.append(Rule("nat", MASQUERADE, f"-s {subnet} -o {interface} {_PUBLISHED}", "MASQUERADE"))
    return found + _loopback_rules(interface, family)


def _loopback_rules(interface: str, family: int) -> list[Rule]:
    """A port published on 127.0.0.1 needs packets from there to leave the host, and none to come in."""
    if family != 4:
        return []
    return [
        Rule("nat", MASQUERADE, f"-s 127.0.0.0/8 -o {interface} {_PUBLISHED}", "MASQUERADE"),
        Rule("filter", INPUT, f"-d 127.0.0.0/8 -i {interface} {_NEITHER}", "DROP"),
    ]


def pod_rules(
    mappings: list[dict[str, Any]], address: Cidr, *, shared: bool, interface: str = ""
) -> list[Rule]:
    """The rules of a pod's published ports, for its ``address``.

    With ``shared`` the network's rules let its packets pass; without, the pod's own do, ``interface`` being
    the host's side of it.
    """
    ip, family = address.ip, address.version
    found = []
    for mapping in [mapping_of(item) for item in mappings]:
        if mapping.host_ip and (":" in mapping.host_ip) != (family == 6):
            continue
        where = f" -d {mapping.host_ip}" if mapping.host_ip else ""
        to = f"[{ip}]:{mapping.pod_port}" if family == 6 else f"{ip}:{mapping.pod_port}"
        condition = f"-p {mapping.protocol}{where} -m {mapping.protocol} --dport {mapping.host_port}"
        found.append(Rule("nat", PORTS, condition, f"DNAT --to-destination {to}"))
    if found and not shared:
        found += [
            Rule("filter", FORWARD, f"-d {ip} {_PUBLISHED}", "ACCEPT"),
            Rule("filter", FORWARD, f"-s {ip} {_KNOWN}", "ACCEPT"),
            Rule("nat", MASQUERADE, f"-s {ip} -d {ip} {_PUBLISHED}", "MASQUERADE"),
        ]
        found += _loopback_rules(interface, family) if interface else []
    return found


def pod_owner(uuid: str, interface: str) -> str:
    """The words in the comments of the rules of one of a pod's interfaces."""
    return f"pod={uuid} interface={interface}"


def network_change(rules: Rules, network: Network) -> Change:
    """What is missing of the network's rules, and what is too much; empty where all is as it should be."""
    change = Change()
    _ensure_chains(rules, change)
    wanted = network_rules(network, rules.family)
    _replace(rules, change, f"network={network.name}", wanted)
    return change


def pod_change(rules: Rules, owner: str, wanted: list[Rule]) -> Change:
    """What makes the pod's rules those that are wanted; all of them go where none is.

    Rules of others for the same ports go, too: whoever publishes a port holds it, so theirs are of dead pods.
    """
    change = Change()
    if wanted:
        _ensure_chains(rules, change)
    ours = [_port(rule.condition) for rule in wanted if rule.chain == PORTS]
    change.delete(
        ("nat", PORTS, rule)
        for rule in rules.chains.get(("nat", PORTS), ())
        if f"carob {owner} " not in rule and _port(rule) in ours
    )
    _replace(rules, change, owner, wanted)
    return change


def _port(rule: str) -> tuple[str, str, str]:
    """Protocol, address and port of the host in the condition of a rule, ours or as it is listed."""
    words = rule.split()
    found = {word: words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-p", "-d", "--dport")}
    address = found.get("-d", "").removesuffix("/32").removesuffix("/128")
    return found.get("-p", ""), address, found.get("--dport", "")


def network_removal(rules: Rules, name: str) -> Change:
    """Takes away the rules of a network, and carob's chains with the last rule in them."""
    change = Change()
    gone = rules.with_words(f"carob network={name} ")
    anchors = rules.with_words("carob anchor=")
    change.delete(gone)
    inside = [
        (table, chain, rule) for table, chain in CHAINS for rule in rules.chains.get((table, chain), ())
    ]
    if all(rule in gone or rule in anchors for rule in inside):
        change.delete(anchors)
        for table, chain in CHAINS:
            if (table, chain) in rules.chains:
                change.add(table, f"-X {chain}")
    return change


def missing(rules: Rules, owner: str, wanted: list[Rule]) -> list[Rule]:
    """Those of the wanted rules that are not there."""
    present = {(table, chain, _digest(rule)) for table, chain, rule in rules.with_words(f"carob {owner} ")}
    return [rule for rule in wanted if (rule.table, rule.chain, rule.digest()) not in present]


def has_chains(rules: Rules) -> bool:
    """Whether carob's chains are there."""
    return all(chain in rules.chains for chain in CHAINS)


def _replace(rules: Rules, change: Change, owner: str, wanted: list[Rule]) -> None:
    kept = {rule.digest() for rule in wanted}
    old = rules.with_words(f"carob {owner} ")
    change.delete([found for found in old if _digest(found[2]) not in kept])
    for rule in missing(rules, owner, wanted):
        # What refuses comes before what accepts, of whichever network.
        where = _TO_THE_FRONT if rule.target == "DROP" else _TO_THE_END
        change.add(rule.table, f"{where} {rule.chain} {rule.text(owner)}")


def _ensure_chains(rules: Rules, change: Change) -> None:
    for table, chain in CHAINS:
        if (table, chain) not in rules.chains:
            change.add(table, f"-N {chain}")
    for table, chain, where, condition, target in _ANCHORS:
        name = f"carob anchor={target}"
        if not any(name in found for found in rules.chains.get((table, chain), ())):
            change.add(table, f'{where} {chain} {condition} -m comment --comment "{name}" -j {target}')


def _digest(rule: str) -> str:
    """The digest in the comment of a rule as it is listed."""
    return rule.partition(" rule=")[2][:8]
