"""The kernel's own account of links, addresses, routes and connections: netlink(7), rtnetlink(7).

Requests go through a raw socket, for no library that speaks netlink is worth its 280 ms. Answers are read
whole, in the order of the kernel's; a request that is refused raises ``OSError`` with its errno.
"""

from __future__ import annotations

import os
from _socket import AF_NETLINK, SO_RCVBUF, SOCK_CLOEXEC, SOCK_RAW, SOL_SOCKET, socket

from carob.spec.cni.addresses import Cidr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

_ERROR = 2
_DONE = 3
_REQUEST = 0x1
_ACK = 0x4
_DUMP = 0x300
_HEADER_BYTES = 16

_NEW_LINK, _DELETE_LINK, _GET_LINK = 16, 17, 18
_GET_ADDRESS = 22
_GET_ROUTE = 26
_AF_INET, _AF_INET6 = 2, 10
_VERSION = {_AF_INET: 4, _AF_INET6: 6}
_BITS = {4: 32, 6: 128}

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 10, 18
_IFLA_INFO_KIND = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DESTINATION, _RTA_INTERFACE = 1, 4


class Link:
    """A network interface: its ``index``, ``name``, ``kind`` (``bridge``, ``veth``, or ``""``), ``mac``,
    ``mtu``, and the index of the bridge that it is a port of, or 0.
    """

    __slots__ = ("index", "kind", "mac", "master", "mtu", "name")

    def __init__(self, index: int, name: str, kind: str, mac: str, mtu: int, master: int) -> None:
        self.index = index
        self.name = name
        self.kind = kind
        self.mac = mac
        self.mtu = mtu
        self.master = master


class Connection:
    """A netlink socket of one protocol. To be closed, or used as a context."""

    __slots__ = ("_sequence", "_socket")

    def __init__(self, protocol: int) -> None:
        """Opens the socket. Raises ``OSError``."""
        self._socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        self._socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 20)
        self._socket.settimeout(10.0)
        self._sequence = 0

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """The bodies of all answers to a request for a list."""
        self._send(kind, _REQUEST | _DUMP, body)
        yield from self._answers()

    def ask(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Makes a request that is answered by success or an error."""
        self._send(kind, _REQUEST | _ACK | flags, body)
        for _ in self._answers():
            continue

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        header = _u32(_HEADER_BYTES + len(body)) + _u16(kind) + _u16(flags) + _u32(self._sequence) + _u32(0)
        self._socket.send(header + body)

    def _answers(self) -> Iterator[bytes]:
        while True:
            data = self._socket.recv(1 << 18)
            at = 0
            while at + _HEADER_BYTES <= len(data):
                length, kind = _number(data[at : at + 4]), _number(data[at + 4 : at + 6])
                sequence = _number(data[at + 8 : at + 12])
                body = data[at + _HEADER_BYTES : at + length]
                at += max(_HEADER_BYTES, length + 3 & ~3)
                if sequence != self._sequence:
                    continue
                if kind == _ERROR:
                    _raise(body)
                if kind in (_ERROR, _DONE):
                    return
                yield body


def _raise(body: bytes) -> None:
    number = -int.from_bytes(body[:4], "little", signed=True)
    if number:
        raise OSError(number, os.strerror(number))


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "little")


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes of a message, by type; flags of the type are left out."""
    found = {}
    at = 0
    while at + 4 <= len(data):
        length = _number(data[at : at + 2])
        if length < 4:
            break
        found[_number(data[at + 2 : at + 4]) & 0x3FFF] = data[at + 4 : at + length]
        at += length + 3 & ~3
    return found


def links() -> list[Link]:
    """All network interfaces of this network namespace."""
    with Connection(NETLINK_ROUTE) as connection:
        return [_link(body) for body in connection.dump(_GET_LINK, bytes(16))]


def _link(body: bytes) -> Link:
    found = attributes(body[16:])
    kind = attributes(found.get(_IFLA_LINKINFO, b"")).get(_IFLA_INFO_KIND, b"")
    mac = found.get(_IFLA_ADDRESS, b"")
    return Link(
        _number(body[4:8]),
        _text(found.get(_IFLA_IFNAME, b"")),
        _text(kind),
        ":".join([f"{byte:02x}" for byte in mac]),
        _number(found.get(_IFLA_MTU, b"")),
        _number(found.get(_IFLA_MASTER, b"")),
    )


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "replace")


def delete_link(index: int) -> None:
    """Deletes an interface; nothing where it is gone. Raises other ``OSError``s."""
    body = bytes(4) + _u32(index) + bytes(8)
    with Connection(NETLINK_ROUTE) as connection:
        try:
            connection.ask(_DELETE_LINK, body)
        except OSError as error:
            if error.errno != 19:  # ENODEV
                raise


def addresses() -> list[tuple[int, Cidr]]:
    """All addresses of this network namespace, each after the index of its interface."""
    found = []
    with Connection(NETLINK_ROUTE) as connection:
        for body in connection.dump(_GET_ADDRESS, bytes(8)):
            version = _VERSION.get(body[0])
            values = attributes(body[8:])
            raw = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)
            if version is not None and raw:
                found.append((_number(body[4:8]), Cidr(version, int.from_bytes(raw, "big"), body[1])))
    return found


def routes() -> list[tuple[int, Cidr]]:
    """The routes of all tables: the index of the interface (0: none), and the destination."""
    found = []
    with Connection(NETLINK_ROUTE) as connection:
        for body in connection.dump(_GET_ROUTE, bytes(12)):
            version = _VERSION.get(body[0])
            if version is None:
                continue
            values = attributes(body[12:])
            number = int.from_bytes(values.get(_RTA_DESTINATION, b""), "big")
            found.append((_number(values.get(_RTA_INTERFACE, b"")), Cidr(version, number, body[1])))
    return found
