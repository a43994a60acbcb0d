"""Connections that the kernel remembers (conntrack), through netlink: those to a published UDP port are
forgotten.

A sender of datagrams that never pauses is led, by the entry that its first one made, to where the port led
then. New rules are not looked at for it until the entry expires, so it would never reach a pod that was
started later.
"""

from __future__ import annotations

from carob.network.netlink import NETLINK_NETFILTER, Connection, attributes

_SUBSYSTEM = 1 << 8
_GET = _SUBSYSTEM | 1
_DELETE = _SUBSYSTEM | 2
_FAMILY = {4: 2, 6: 10}
_UDP = 17

_TUPLE_ORIGINAL = 1
_TUPLE_PROTOCOL = 2
_PROTOCOL_NUMBER = 1
_DESTINATION_PORT = 3
_NESTED = 0x8000


def forget_udp(family: int, ports: frozenset[int]) -> int:
    """Forgets the connections to these UDP ports of the host; returns how many. Raises ``OSError``."""
    header = bytes([_FAMILY[family], 0, 0, 0])
    with Connection(NETLINK_NETFILTER) as connection:
        known = [_original(body) for body in connection.dump(_GET, header)]
        forgotten = 0
        for raw in known:
            if raw is None or _udp_port(raw) not in ports:
                continue
            attribute = (4 + len(raw)).to_bytes(2, "little") + (_TUPLE_ORIGINAL | _NESTED).to_bytes(
                2, "little"
            )
            try:
                connection.ask(_DELETE, header + attribute + raw + bytes(-len(raw) % 4))
            except FileNotFoundError:  # it expired meanwhile
                continue
            forgotten += 1
    return forgotten


def _original(body: bytes) -> bytes | None:
    return attributes(body[4:]).get(_TUPLE_ORIGINAL)


def _udp_port(raw: bytes) -> int:
    """The port that the first datagram was sent to; -1 for another protocol."""
    protocol = attributes(attributes(raw).get(_TUPLE_PROTOCOL, b""))
    if protocol.get(_PROTOCOL_NUMBER) != bytes([_UDP]):
        return -1
    return int.from_bytes(protocol.get(_DESTINATION_PORT, b""), "big")
