"""From what a plain user's pod asks of networks to a plan: one network, by pasta or slirp4netns."""

from __future__ import annotations

from carob.errors import InvalidInput, Unsupported
from carob.network.attachment import TAP, Attachment, Plan
from carob.network.tap import programs
from carob.spec.cni.network_option import DEFAULT
from carob.spec.cni.port_mappings import check_mappings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.spec.cni.network_option import WantedNetwork, WantedNetworks
    from carob.spec.cni.port_mappings import PortMapping

HOST_LOOPBACK = "allow_host_loopback"
INTERFACE = "eth0"
_VERSION = "1.0.0"
_FLAGS = {"true": True, "false": False}


def make_plan(uuid: str, wanted: WantedNetworks, mappings: Sequence[PortMapping]) -> Plan:
    """The plan for a pod. Raises ``Unsupported`` for what takes root or is not here, ``InvalidInput``."""
    one = wanted.networks[0]
    if len(wanted.networks) > 1 or one.name not in (DEFAULT, *programs.KNOWN):
        raise Unsupported(
            f"the network {wanted} needs root",
            hint="a plain user's pods have default (by pasta or slirp4netns), host, or none",
        )
    loopback = _host_loopback(one)
    name, path = programs.find("" if one.name == DEFAULT else one.name)
    check_mappings(mappings)
    _check_published(name, mappings)
    attachment = Attachment(
        one.name,
        INTERFACE,
        version=_VERSION,
        plugins=({"type": TAP, "program": name, "path": path, HOST_LOOPBACK: loopback},),
        arguments=one.arguments,
        capabilities={"portMappings": [mapping.document() for mapping in mappings]} if mappings else {},
        disable_check=True,
        source=path,
    )
    return Plan(uuid, (attachment,), ())


def _host_loopback(one: WantedNetwork) -> bool:
    arguments = dict(one.arguments)
    flag = arguments.pop(HOST_LOOPBACK, "false")
    if arguments or one.ips or one.mac or one.aliases or flag not in _FLAGS:
        raise InvalidInput(
            f"the network {one}: a plain user's takes no such argument", hint=f"{HOST_LOOPBACK}=true"
        )
    return _FLAGS[flag]


def _check_published(name: str, mappings: Sequence[PortMapping]) -> None:
    seen = set()
    for mapping in mappings:
        if mapping.protocol not in ("tcp", "udp"):
            raise Unsupported(f"port mapping {mapping}: {name} knows tcp and udp alone")
        if name == programs.SLIRP and ":" in mapping.host_ip:
            raise Unsupported(f"port mapping {mapping}: {name} publishes on IPv4 alone", hint="pasta on both")
        port = (mapping.protocol, mapping.host_port)
        if name == programs.PASTA and mapping.host_port and port in seen:
            raise Unsupported(
                f"port mapping {mapping}: {name} publishes a port of the host on one address only",
                hint="leave the address out, which means all of IPv4, or take another port",
            )
        seen.add(port)
