"""From what a pod asks for to its networks' plan: which, configured how, and who publishes its ports."""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.network import iptables, plugin_versions, plugins
from carob.network.attachment import NAT, Attachment, Plan
from carob.network.configuration import Catalogue
from carob.spec.cni import versions
from carob.spec.cni.configuration import PluginConfiguration
from carob.spec.cni.network_option import ALL, MOST_NETWORKS, NETWORKS, WantedNetwork
from carob.spec.cni.port_mappings import check_mappings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.network.places import Places
    from carob.spec.cni.configuration import NetworkList
    from carob.spec.cni.network_option import WantedNetworks
    from carob.spec.cni.port_mappings import PortMapping
    from carob.spec.cni.resolver import Resolver

_PORTS = "portMappings"


def make_plan(
    uuid: str,
    wanted: WantedNetworks,
    places: Places,
    *,
    mappings: Sequence[PortMapping] = (),
    resolver: Resolver | None = None,
) -> Plan:
    """The plan for a pod. ``resolver`` is told to plugins that ask for ``dns``.

    Raises ``NotFound`` for a network that is not configured, ``Unsupported`` for a plugin that is not there
    or of another version, ``InvalidInput`` for what the networks cannot give, ``CorruptData`` for what is
    wrong in a file.
    """
    check_mappings(mappings)
    if wanted.kind != NETWORKS:
        if mappings:
            raise InvalidInput(
                f"ports cannot be published with the network {wanted.kind!r}",
                hint="use the default network"
                if wanted.kind == "none"
                else "the apps listen on the host itself",
            )
        return Plan(uuid, (), places.plugins)
    catalogue = Catalogue(places)
    chosen = [(one, catalogue.get(one.name)) for one in _named(wanted, catalogue)]
    publisher = _publisher([network for _, network in chosen]) if mappings else -1
    attachments = []
    for number, (one, network) in enumerate(chosen):
        if number == publisher and _PORTS not in network.capabilities():
            nat = {"type": NAT, "capabilities": {_PORTS: True}}
            network = network.with_plugins([PluginConfiguration(nat, network.source)])  # noqa: PLW2901
        capabilities, arguments = _asked(one, network, resolver)
        if number == publisher:
            capabilities[_PORTS] = [mapping.document() for mapping in mappings]
        attachments.append(
            Attachment(
                network.name,
                f"eth{number}",
                version=_version(network, places),
                plugins=tuple(plugin.document for plugin in network.plugins),
                arguments=arguments,
                capabilities=capabilities,
                disable_check=network.disable_check,
                disable_gc=network.disable_gc,
                source=network.source,
            )
        )
    return Plan(uuid, tuple(attachments), places.plugins)


def _named(wanted: WantedNetworks, catalogue: Catalogue) -> list[WantedNetwork]:
    """The networks asked for by name, then, for ``all``, the others."""
    named = [one for one in wanted.networks if one.name != ALL]
    if len(named) < len(wanted.networks):
        known = {one.name for one in named}
        named += [WantedNetwork(name) for name in catalogue.names() if name not in known]
    if len(named) > MOST_NETWORKS:
        raise InvalidInput(f"{len(named)} networks; a pod joins at most {MOST_NETWORKS}")
    return named


def _publisher(networks: list[NetworkList]) -> int:
    """Which network publishes the ports: the first whose plugins can.

    Where none can carob does it itself, on the network that rkt would take: the first that masquerades, else
    the last.
    """
    for number, network in enumerate(networks):
        if _PORTS in network.capabilities():
            return number
    for number, network in enumerate(networks):
        if any(plugin.document.get("ipMasq") is True for plugin in network.plugins):
            return number
    return len(networks) - 1


def _asked(
    one: WantedNetwork, network: NetworkList, resolver: Resolver | None
) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]]:
    """What plugins are told: by the capabilities that they have, the rest by CNI_ARGS."""
    has = network.capabilities()
    capabilities: dict[str, Any] = {}
    arguments = list(one.arguments)
    if one.ips and "ips" in has:
        capabilities["ips"] = list(one.ips)
    elif len(one.ips) > 1:
        raise InvalidInput(f"network {network.name}: its plugins take one address only, not {len(one.ips)}")
    elif one.ips:
        arguments.append(("IP", one.ips[0]))
    if one.mac and "mac" in has:
        capabilities["mac"] = one.mac
    elif one.mac:
        arguments.append(("MAC", one.mac))
    if one.aliases:
        if "aliases" not in has:
            raise InvalidInput(f"network {network.name}: none of its plugins serves aliases")
        capabilities["aliases"] = list(one.aliases)
    if resolver is not None and resolver and "dns" in has:
        capabilities["dns"] = resolver.document()
    if arguments and not any(key == "IgnoreUnknown" for key, _ in arguments):
        arguments.append(("IgnoreUnknown", "1"))  # each plugin knows some of them
    return capabilities, tuple(arguments)


def _version(network: NetworkList, places: Places) -> str:
    """The version to speak; only where there is a choice are the plugins asked. All of them must be there."""
    kinds = [plugin.type for plugin in network.plugins if plugin.type != NAT]
    for plugin in network.plugins:
        ipam = plugin.document.get("ipam")
        if isinstance(ipam, dict) and isinstance(ipam.get("type"), str) and ipam["type"]:
            kinds.append(ipam["type"])
    if any(plugin.type == NAT for plugin in network.plugins):
        iptables.require(4)
    every = tuple(dict.fromkeys(kinds))
    what = f"network {network.name} ({network.source})"
    if len(network.versions) > 1:
        return versions.choose(network.versions, what, plugin_versions.supported(every, places))
    for kind in every:
        plugins.find(kind, places.plugins)
    return versions.choose(network.versions, what)
