"""``[ADDRESS:]LOCAL:REMOTE``: which port here leads to which port of a pod."""

from __future__ import annotations

from carob.engine.request import inputs
from carob.errors import InvalidInput

_LAST_PORT = 65535
_GRAMMAR = "such as 8080:80, 80, :80 (any free port here) or 0.0.0.0:8080:80"


class ForwardSpec:
    """``address`` and ``local_port`` are where connections are taken (port 0: any that is free), and
    ``pod_port`` is where they lead.
    """

    __slots__ = ("address", "local_port", "pod_port")

    def __init__(self, address: str, local_port: int, pod_port: int) -> None:
        self.address = address
        self.local_port = local_port
        self.pod_port = pod_port

    def __repr__(self) -> str:
        return f"ForwardSpec({self.address!r}, {self.local_port}, {self.pod_port})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ForwardSpec) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def parse(text: str) -> ForwardSpec:
    """Reads one. The address is by default 127.0.0.1; one of IPv6 stands in brackets. ``InvalidInput``."""
    address, rest = "127.0.0.1", inputs.text(text, "a port to forward")
    if rest.startswith("["):
        address, bracket, rest = rest[1:].partition("]:")
        if not bracket:
            raise InvalidInput(f"{text!r} is no port to forward", hint="such as [::1]:8080:80")
    elif rest.count(":") == 2:
        address, _, rest = rest.partition(":")
    local, colon, remote = rest.partition(":")
    if not colon:
        remote = local
    return ForwardSpec(_address(address, text), _port(local or "0", text, 0), _port(remote, text, 1))


def _address(address: str, text: str) -> str:
    from ipaddress import ip_address

    if address == "localhost":
        return "127.0.0.1"
    try:
        return str(ip_address(address))
    except ValueError:
        raise InvalidInput(f"{text!r}: {address!r} is no address of this host", hint=_GRAMMAR) from None


def _port(digits: str, text: str, least: int) -> int:
    number = int(digits) if digits.isdecimal() and digits.isascii() and len(digits) <= 5 else -1
    if not least <= number <= _LAST_PORT:
        raise InvalidInput(f"{text!r}: {digits!r} is no port", hint=_GRAMMAR)
    return number
