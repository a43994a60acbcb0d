"""What a plugin answers to ADD (SPEC.md, section 5), in the forms of all versions.

A result is handed to the next plugin as it was received, with all its keys; what carob itself needs of it is
in the attributes of ``Result``.
"""

from __future__ import annotations

from carob.errors import CorruptData
from carob.spec.cni import versions
from carob.spec.cni.addresses import Cidr, parse_cidr, parse_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_ENTRIES = 4096


class Interface:
    """An interface that the plugin made or used; ``sandbox`` is ``""`` for those of the host."""

    __slots__ = ("mac", "name", "sandbox")

    def __init__(self, name: str, mac: str, sandbox: str) -> None:
        self.name = name
        self.mac = mac
        self.sandbox = sandbox


class Address:
    """An address: ``cidr``, that of the ``gateway`` or ``""``, the number of the ``interface`` or -1."""

    __slots__ = ("cidr", "gateway", "interface")

    def __init__(self, cidr: Cidr, gateway: str, interface: int) -> None:
        self.cidr = cidr
        self.gateway = gateway
        self.interface = interface


class Result:
    """A result of ADD.

    ``document`` is the whole of it, of version ``version``; ``dns`` its part on name servers.
    """

    __slots__ = ("addresses", "dns", "document", "interfaces", "version")

    def __init__(
        self,
        version: str,
        document: dict[str, Any],
        interfaces: tuple[Interface, ...],
        addresses: tuple[Address, ...],
    ) -> None:
        self.version = version
        self.document = document
        self.interfaces = interfaces
        self.addresses = addresses
        dns = document.get("dns")
        self.dns: dict[str, Any] = dns if isinstance(dns, dict) else {}

    def pod_addresses(self) -> tuple[Address, ...]:
        """The addresses that are the pod's own: not those of interfaces on the host."""
        return tuple(address for address in self.addresses if self._is_pods(address))

    def _is_pods(self, address: Address) -> bool:
        if not 0 <= address.interface < len(self.interfaces):
            return True
        return bool(self.interfaces[address.interface].sandbox)

    def host_interfaces(self) -> tuple[Interface, ...]:
        """The interfaces on the host's side."""
        return tuple(interface for interface in self.interfaces if not interface.sandbox)


def parse_result(document: object, asked: str, what: str) -> Result:
    """Reads a result that was asked for in version ``asked``, and turns it into that version if it is of
    another.

    Raises ``CorruptData``, which names ``what`` answered.
    """
    if not isinstance(document, dict):
        raise CorruptData(f"{what} answered with something else than a JSON object")
    said = document.get("cniVersion") or asked
    if not isinstance(said, str) or said not in versions.KNOWN:
        raise CorruptData(f"{what} answered in version {said!r}, which carob does not know")
    document = {**document, "cniVersion": said}
    found = _read_old(document, what) if _is_old(said) else _read(document, what)
    if _form(said) == _form(asked):
        return Result(asked, {**document, "cniVersion": asked}, *found)
    return Result(asked, _write(document, *found, version=asked), *found)


def _is_old(version: str) -> bool:
    return not versions.at_least(version, "0.3.0")


def _form(version: str) -> int:
    """Versions of one form differ in nothing but their number."""
    if _is_old(version):
        return 0
    return 2 if versions.at_least(version, "1.0.0") else 1


def _entries(document: dict[str, Any], key: str, what: str) -> list[dict[str, Any]]:
    found = document.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise CorruptData(f"{what} answered with {key!r} that is no list of objects")
    if len(found) > _MOST_ENTRIES:
        raise CorruptData(f"{what} answered with more than {_MOST_ENTRIES} {key}")
    return found


def _text(item: dict[str, Any], key: str, what: str) -> str:
    value = item.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise CorruptData(f"{what} answered with {key!r} that is no text")
    return value


def _read(document: dict[str, Any], what: str) -> tuple[tuple[Interface, ...], tuple[Address, ...]]:
    interfaces = tuple(
        Interface(_text(item, "name", what), _text(item, "mac", what), _text(item, "sandbox", what))
        for item in _entries(document, "interfaces", what)
    )
    addresses = []
    for item in _entries(document, "ips", what):
        number = item.get("interface", -1)
        if not isinstance(number, int) or isinstance(number, bool):
            number = -1
        addresses.append(_address(item, "address", number, what))
    return interfaces, tuple(addresses)


def _address(item: dict[str, Any], key: str, interface: int, what: str) -> Address:
    text = _text(item, key, what)
    cidr = parse_cidr(text)
    if cidr is None:
        raise CorruptData(f"{what} answered with {text!r}, which is no address with a prefix")
    gateway = _text(item, "gateway", what)
    if gateway and parse_ip(gateway) is None:
        raise CorruptData(f"{what} answered with the gateway {gateway!r}, which is no address")
    return Address(cidr, gateway, interface)


def _read_old(document: dict[str, Any], what: str) -> tuple[tuple[Interface, ...], tuple[Address, ...]]:
    addresses = []
    for key in ("ip4", "ip6"):
        item = document.get(key)
        if item is None:
            continue
        if not isinstance(item, dict):
            raise CorruptData(f"{what} answered with {key!r} that is no object")
        addresses.append(_address(item, "ip", -1, what))
    return (), tuple(addresses)


def _write(
    document: dict[str, Any],
    interfaces: tuple[Interface, ...],
    addresses: tuple[Address, ...],
    *,
    version: str,
) -> dict[str, Any]:
    """The same result in the form of another version; keys that carob does not know are kept."""
    form = _form(version)
    routes = _routes(document)
    if form == 0:
        return _write_old(document, addresses, routes, version)
    kept = {key: value for key, value in document.items() if key not in ("ip4", "ip6")}
    ips = document.get("ips") or [_new_ip(address) for address in addresses]
    made: dict[str, Any] = {**kept, "cniVersion": version, "ips": [], "routes": routes}
    for item, address in zip(ips, addresses, strict=True):
        plain = {key: value for key, value in item.items() if key != "version"}
        made["ips"].append({"version": str(address.cidr.version), **plain} if form == 1 else plain)
    return made


def _new_ip(address: Address) -> dict[str, Any]:
    made = {"address": str(address.cidr)}
    if address.gateway:
        made["gateway"] = address.gateway
    return made


def _routes(document: dict[str, Any]) -> list[Any]:
    routes = list(document.get("routes") or [])
    for key in ("ip4", "ip6"):
        old = document.get(key)
        if isinstance(old, dict):
            routes += old.get("routes") or []
    return routes


def _write_old(
    document: dict[str, Any], addresses: tuple[Address, ...], routes: list[Any], version: str
) -> dict[str, Any]:
    made: dict[str, Any] = {"cniVersion": version, "dns": document.get("dns") or {}}
    for key, family in (("ip4", 4), ("ip6", 6)):
        of_family = [address for address in addresses if address.cidr.version == family]
        if not of_family:
            continue
        made[key] = {
            "ip": str(of_family[0].cidr),
            "routes": [route for route in routes if _family(route) == family],
        }
        if of_family[0].gateway:
            made[key]["gateway"] = of_family[0].gateway
    return made


def _family(route: Any) -> int:
    destination = route.get("dst") if isinstance(route, dict) else None
    cidr = parse_cidr(destination) if isinstance(destination, str) else None
    return cidr.version if cidr is not None else 4
