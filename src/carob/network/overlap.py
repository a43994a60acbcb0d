"""Whether several networks of one pod may be attached, or detached, at once. Pure."""

from __future__ import annotations

from carob.network.attachment import NAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.network.attachment import Attachment

# Plugins that do not look at the pod's other networks, so that several may be at work in it at once.
_INDEPENDENT = frozenset(
    ("bridge", "ptp", "macvlan", "ipvlan", "portmap", "firewall", "bandwidth", "host-local", "static", NAT)
)
_EVERYWHERE = ("0.0.0.0/0", "::/0")


def may_overlap(attachments: tuple[Attachment, ...]) -> bool:
    """Whether several networks may be attached at once: no plugin minds, and at most one brings a default
    route.

    SPEC.md (section 3) wants operations on one container in turn, for plugins may depend on each other's
    work. Those of the reference set that make an interface of their own do not.
    """
    if len(attachments) < 2:
        return True
    types = {kind for attachment in attachments for kind in attachment.types()}
    ipams = {_ipam(plugin).get("type") for attachment in attachments for plugin in attachment.plugins} - {
        None
    }
    if not types | ipams <= _INDEPENDENT:
        return False
    return sum(_brings_default_route(attachment) for attachment in attachments) < 2


def _ipam(plugin: dict[str, Any]) -> dict[str, Any]:
    found = plugin.get("ipam")
    return found if isinstance(found, dict) else {}


def _brings_default_route(attachment: Attachment) -> bool:
    for plugin in attachment.plugins:
        routes = _ipam(plugin).get("routes")
        for route in routes if isinstance(routes, list) else ():
            if isinstance(route, dict) and route.get("dst") in _EVERYWHERE:
                return True
        if plugin.get("isDefaultGateway") is True:
            return True
    return False
