"""From CRI's configuration of a sandbox to what carob is asked for. Pure."""

from __future__ import annotations

from carob.errors import InvalidInput, Unsupported
from carob.service.cri import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_PROTOCOLS = {api.TCP: "tcp", api.UDP: "udp", api.SCTP: "sctp"}
_UNFIT = frozenset(";,")


def check_metadata(config: api.PodSandboxConfig) -> None:
    """Raises ``InvalidInput`` for a sandbox without what tells it from others."""
    if not (config.metadata.name and config.metadata.namespace and config.metadata.uid):
        raise InvalidInput("a sandbox needs metadata: a name, a namespace and a uid")


def sandbox_options(config: api.PodSandboxConfig, *, network: str) -> dict[str, Any]:
    """Keywords of ``PodOptions``. ``network`` is that of pods which are not on the host's.

    Raises ``InvalidInput``, ``Unsupported``.
    """
    check_metadata(config)
    namespaces = config.linux.security_context.namespace_options
    on_host = namespaces.network == api.NODE
    found: dict[str, Any] = {
        "name": config.metadata.name,
        "network": "host" if on_host else _network(network, config.metadata),
        "sysctls": dict(config.linux.sysctls),
        "cgroup_parent": cgroup_parent(config.linux.cgroup_parent),
        **_resolver(config),
    }
    if on_host:
        found["uts"] = "host"
    else:
        found["ports"] = _ports(config.port_mappings)
        if config.hostname:
            found["hostname"] = config.hostname
    if namespaces.ipc == api.NODE:
        found["ipc"] = "host"
    if (mapping := user_mapping(namespaces)) is not None:
        found["uidmap"] = found["gidmap"] = [mapping]
    if namespaces.pid == api.NODE:
        found["pid"] = "host"
    return found


def _network(name: str, metadata: api.PodSandboxMetadata) -> str:
    """With what Kubernetes' plugins want to know of a pod, as far as it can be passed on."""
    told = {
        "K8S_POD_NAMESPACE": metadata.namespace,
        "K8S_POD_NAME": metadata.name,
        "K8S_POD_UID": metadata.uid,
    }
    words = [f"{key}={value}" for key, value in told.items() if _UNFIT.isdisjoint(value)]
    return f"{name}:{';'.join(words)}" if words else name


def _resolver(config: api.PodSandboxConfig) -> dict[str, Any]:
    """Without a configuration, or with an empty one, name servers are the host's."""
    dns = config.dns_config
    if not (dns.servers or dns.searches or dns.options):
        return {"dns": ["host"]}
    return {"dns": list(dns.servers), "dns_search": list(dns.searches), "dns_options": list(dns.options)}


def _ports(mappings: Sequence[api.PortMapping]) -> list[str]:
    """Those that a port of the host leads to."""
    found = []
    for one in mappings:
        if one.host_port <= 0:
            continue
        if one.protocol not in _PROTOCOLS:
            raise InvalidInput(f"port {one.container_port}: there is no protocol {one.protocol}")
        address = f"[{one.host_ip}]:" if ":" in one.host_ip else f"{one.host_ip}:" if one.host_ip else ""
        found.append(f"{address}{one.host_port}:{one.container_port}/{_PROTOCOLS[one.protocol]}")
    return found


def cgroup_parent(parent: str) -> str:
    """The group as a path: a slice of systemd's stands below those that its name begins with
    (systemd.slice(5)). Raises ``InvalidInput``.
    """
    if not parent.endswith(".slice") or "/" in parent:
        return parent
    parts = parent.removesuffix(".slice").split("-")
    if not all(parts):
        raise InvalidInput(f"{parent!r} is no name of a slice")
    return "".join([f"/{'-'.join(parts[:count])}.slice" for count in range(1, len(parts) + 1)])


def user_mapping(options: api.NamespaceOption) -> str | None:
    """The range of a sandbox's user namespace, as ``INSIDE:OUTSIDE:COUNT``; ``None`` for none.

    Raises ``InvalidInput`` where it is not one range, the same for users and groups, that begins with 0.
    """
    if not options.HasField("userns_options"):
        return None
    wanted = options.userns_options
    if wanted.mode == api.NODE:
        return None
    if wanted.mode != api.POD:
        raise Unsupported("user namespaces are a pod's or the node's", hint="userns_options.mode POD or NODE")
    ranges = {(one.container_id, one.host_id, one.length) for one in (*wanted.uids, *wanted.gids)}
    if len(wanted.uids) != 1 or len(wanted.gids) != 1 or len(ranges) != 1:
        raise InvalidInput("a user namespace has one range of ids, the same for users and groups")
    inside, outside, length = ranges.pop()
    if inside != 0 or length == 0:
        raise InvalidInput("the range of ids of a user namespace begins with 0, and is not empty")
    return f"{inside}:{outside}:{length}"
