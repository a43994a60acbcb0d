"""The networks of a running pod, as its directory tells of them."""

from __future__ import annotations

from carob.errors import CarobError
from carob.network.record import open_record
from carob.spec.cni.port_mappings import mapping_of
from carob.spec.cni.result import parse_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.network.attachment import Attachment
    from carob.network.record import Record


class NetworkStatus:
    """One network of a pod: its ``name``, the ``interface`` in the pod, the pod's ``addresses`` there with
    their prefixes (``10.78.0.2/16``), and the ``ports`` of the host that lead to it
    (``127.0.0.1:8080:80/tcp``).
    """

    __slots__ = ("addresses", "interface", "name", "ports")

    def __init__(self, name: str, interface: str, addresses: tuple[str, ...], ports: tuple[str, ...]) -> None:
        self.name = name
        self.interface = interface
        self.addresses = addresses
        self.ports = ports

    def __repr__(self) -> str:
        return f"NetworkStatus({self.name!r}, {self.interface!r}, {list(self.addresses)!r})"


def networks(pod: int) -> tuple[NetworkStatus, ...]:
    """The networks that the pod is attached to, whose directory the descriptor is.

    Raises ``CorruptData`` for what cannot be read.
    """
    record = open_record(pod)
    if record is None:
        return ()
    with record:
        found = [_network(record, one) for one in record.plan().attachments]
    return tuple([one for one in found if one is not None])


def debts(pod: int) -> dict[str, str]:
    """Why an ended pod is not detached from networks, by interface."""
    record = open_record(pod)
    if record is None:
        return {}
    with record:
        return record.debts()


def _network(record: Record, one: Attachment) -> NetworkStatus | None:
    document = record.result(one.interface)
    if document is None or record.is_released(one.interface):
        return None
    result = parse_result(document, one.version, "the pod's directory")
    mappings: list[dict[str, Any]] = record.published(one.interface) or []
    return NetworkStatus(
        one.network,
        one.interface,
        tuple([str(address.cidr) for address in result.pod_addresses()]),
        tuple([_port(mapping) for mapping in mappings]),
    )


def _port(mapping: dict[str, Any]) -> str:
    try:
        return str(mapping_of(mapping))
    except CarobError:
        return "unknown"
