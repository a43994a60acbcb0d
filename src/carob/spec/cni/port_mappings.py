"""Ports of the host that lead to ports of the pod, as users write them and as plugins are told.

=====================================  ==========================================================
``8080:80``, ``8080:80/udp``           port 8080 of every address of the host to port 80 of the pod
``127.0.0.1:8080:80``, ``[::1]:8:80``  of one address
``8000-8010:9000-9010``                eleven ports
``80``, ``127.0.0.1::80``              a free port of the host, chosen when the pod is run
``http:8080``, ``http:[::1]:8080``     rkt's ``--port``: to the app's port with that name
=====================================  ==========================================================
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.spec.cni.addresses import format_ip, parse_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

PROTOCOLS = ("tcp", "udp", "sctp")
ANY_FREE = 0
MOST = 4096
"""The most mappings of one pod: each is a rule of the host's firewall."""

_FORM = "[ADDRESS:]HOST:POD[/tcp|udp|sctp], each a port or FIRST-LAST"
_NAMED_FORM = "NAME:[ADDRESS:]HOST"
_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


class PortMapping:
    """One port.

    ``host_ip`` is ``""`` for all addresses of the host, ``host_port`` ``ANY_FREE`` for a free one.
    """

    __slots__ = ("host_ip", "host_port", "pod_port", "protocol")

    def __init__(self, host_port: int, pod_port: int, *, protocol: str = "tcp", host_ip: str = "") -> None:
        """Raises ``InvalidInput`` for what is no port, protocol or address."""
        text = f"port mapping {host_ip or '*'}:{host_port}:{pod_port}/{protocol}"
        if not _is_port(pod_port) or not (host_port == ANY_FREE or _is_port(host_port)):
            raise InvalidInput(f"{text}: ports are 1 to 65535", hint=_FORM)
        if protocol not in PROTOCOLS:
            raise InvalidInput(f"{text}: unknown protocol {protocol!r}", hint=_FORM)
        found = parse_ip(host_ip) if host_ip else None
        if host_ip and found is None:
            raise InvalidInput(f"{text}: {host_ip!r} is no IP address", hint=_FORM)
        self.host_port = host_port
        self.pod_port = pod_port
        self.protocol = protocol
        self.host_ip = format_ip(*found) if found is not None and found[1] else ""

    def _key(self) -> tuple[str, int, int, str]:
        return self.host_ip, self.host_port, self.pod_port, self.protocol

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PortMapping):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        """What ``parse_ports`` reads back."""
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        before = f"{host}:" if host else ""
        return f"{before}{self.host_port}:{self.pod_port}/{self.protocol}"

    def __repr__(self) -> str:
        return f"PortMapping({str(self)!r})"

    def conflicts_with(self, other: PortMapping) -> bool:
        """Whether both want the same port of the host."""
        if ANY_FREE in (self.host_port, other.host_port):
            return False
        if (self.host_port, self.protocol) != (other.host_port, other.protocol):
            return False
        return self.host_ip == other.host_ip or not self.host_ip or not other.host_ip

    def document(self) -> dict[str, Any]:
        """The entry of the capability ``portMappings`` (CONVENTIONS.md)."""
        made: dict[str, Any] = {
            "hostPort": self.host_port,
            "containerPort": self.pod_port,
            "protocol": self.protocol,
        }
        if self.host_ip:
            made["hostIP"] = self.host_ip
        return made


class NamedPort:
    """rkt's ``--port``: the app's port ``name`` is to be reached at ``host_port`` of ``host_ip``."""

    __slots__ = ("host_ip", "host_port", "name")

    def __init__(self, name: str, host_port: int, host_ip: str = "") -> None:
        self.name = name
        self.host_port = host_port
        self.host_ip = host_ip


def parse_ports(text: str) -> tuple[PortMapping, ...]:
    """The mappings of one ``-p``. Raises ``InvalidInput``."""
    ports, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    host_ip, parts = _split_address(ports, text)
    if protocol not in PROTOCOLS or not 1 <= len(parts) <= 2 or (host_ip and len(parts) != 2):
        raise InvalidInput(f"{text!r} is no port mapping", hint=_FORM)
    pod_first, count = _range(parts[-1], text)
    host_first = ANY_FREE
    if len(parts) == 2 and parts[0] not in ("", "0"):
        host_first, host_count = _range(parts[0], text)
        if host_count != count:
            raise InvalidInput(f"{text!r}: {host_count} ports of the host and {count} of the pod", hint=_FORM)
    if count > MOST:
        raise InvalidInput(f"{text!r}: {count} ports; a pod publishes at most {MOST}")
    return tuple(
        PortMapping(
            host_first + step if host_first else ANY_FREE,
            pod_first + step,
            protocol=protocol,
            host_ip=host_ip,
        )
        for step in range(count)
    )


def parse_named_port(text: str) -> NamedPort:
    """One ``--port`` of rkt's. Raises ``InvalidInput``."""
    name, colon, rest = text.partition(":")
    if not name or not _NAME_LETTERS.issuperset(name) or not all(name.split("-")) or not colon:
        raise InvalidInput(f"{text!r} is no named port", hint=_NAMED_FORM)
    host_ip, parts = _split_address(rest, text)
    if len(parts) != 1:
        raise InvalidInput(f"{text!r} is no named port", hint=_NAMED_FORM)
    port, count = _range(parts[0], text)
    if count != 1:
        raise InvalidInput(f"{text!r}: one port of the host, the first one of the app's", hint=_NAMED_FORM)
    return NamedPort(name, port, host_ip)


def resolve_named(named: NamedPort, ports: Iterable[tuple[str, int, int, str]]) -> tuple[PortMapping, ...]:
    """The mappings of a named port. ``ports`` are those of all apps of the pod: name, first port, count,
    protocol.

    Raises ``InvalidInput`` where no app, or more than one, has a port of that name.
    """
    every = list(ports)
    found = [port for port in every if port[0] == named.name]
    if len(found) != 1:
        known = ", ".join(sorted({port[0] for port in every})) or "none"
        which = "no app of the pod has" if not found else "several apps of the pod have"
        raise InvalidInput(f"{which} a port {named.name!r}", hint=f"the apps' ports: {known}")
    _, first, count, protocol = found[0]
    return tuple(
        PortMapping(named.host_port + step, first + step, protocol=protocol or "tcp", host_ip=named.host_ip)
        for step in range(max(count, 1))
    )


def check_mappings(mappings: Sequence[PortMapping]) -> None:
    """Raises ``InvalidInput`` where two mappings want the same port of the host, or there are too many."""
    if len(mappings) > MOST:
        raise InvalidInput(f"{len(mappings)} ports are published; a pod publishes at most {MOST}")
    by_port: dict[tuple[int, str], list[PortMapping]] = {}
    for mapping in mappings:
        others = by_port.setdefault((mapping.host_port, mapping.protocol), [])
        for other in others:
            if mapping.conflicts_with(other):
                raise InvalidInput(f"port mappings {other} and {mapping} want the same port of the host")
        if mapping.host_port != ANY_FREE:
            others.append(mapping)


def mapping_of(document: Any) -> PortMapping:
    """The mapping that an entry of ``portMappings`` stands for. Raises ``InvalidInput``."""
    if not isinstance(document, dict):
        raise InvalidInput("an entry of portMappings is not an object")
    host, pod = document.get("hostPort", ANY_FREE), document.get("containerPort")
    protocol, host_ip = document.get("protocol", "tcp"), document.get("hostIP", "")
    if not isinstance(protocol, str) or not isinstance(host_ip, str):
        raise InvalidInput("an entry of portMappings has a protocol or hostIP that is no text")
    if not isinstance(host, int) or not isinstance(pod, int):
        raise InvalidInput("an entry of portMappings has ports that are no numbers")
    return PortMapping(host, pod, protocol=protocol.lower(), host_ip=host_ip)


def _is_port(number: int) -> bool:
    return 1 <= number <= 65535


def _split_address(text: str, whole: str) -> tuple[str, list[str]]:
    """The address, if there is one, and the parts after it."""
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]:")
        if not bracket or ":" not in address or parse_ip(address) is None:
            raise InvalidInput(f"{whole!r}: no IPv6 address in brackets", hint=_FORM)
        return address, rest.split(":")
    first, colon, rest = text.partition(":")
    if not colon or "." not in first:
        return "", text.split(":")
    if parse_ip(first) is None:
        raise InvalidInput(f"{whole!r}: {first!r} is no IP address", hint=_FORM)
    return first, rest.split(":")


def _range(text: str, whole: str) -> tuple[int, int]:
    """The first port and how many."""
    first, dash, last = text.partition("-")
    numbers = [_port(first, whole), _port(last, whole) if dash else _port(first, whole)]
    if numbers[1] < numbers[0]:
        raise InvalidInput(f"{whole!r}: the range {text} ends before it begins", hint=_FORM)
    return numbers[0], numbers[1] - numbers[0] + 1


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or not _is_port(int(text)):
        raise InvalidInput(f"{whole!r}: {text!r} is no port from 1 to 65535", hint=_FORM)
    return int(text)
