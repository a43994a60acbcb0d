"""What the host's own ``resolv.conf`` tells a pod."""

from __future__ import annotations

from carob.linux.files import read_file
from carob.spec.cni.resolver import Resolver, is_local, parse_resolver

_FILE = "/etc/resolv.conf"
_BEHIND_THE_STUB = "/run/systemd/resolve/resolv.conf"
_LIMIT_BYTES = 1 << 16


def host_resolver() -> Resolver:
    """The host's name servers that pods reach, its search domains and options.

    A server on the host's loopback is none of a pod's; where systemd-resolved listens there, the servers
    behind it are taken. With none left the pod asks nobody.
    """
    found = _read(_FILE)
    if any(is_local(server) for server in found.servers):
        behind = _read(_BEHIND_THE_STUB)
        servers = behind.servers or found.servers
    else:
        servers = found.servers
    reachable = [server for server in servers if not is_local(server)]
    return Resolver(reachable, search=found.search, domain=found.domain, options=found.options)


def _read(path: str) -> Resolver:
    try:
        return parse_resolver(read_file(path, limit_bytes=_LIMIT_BYTES).decode("utf-8", "replace"))
    except OSError:
        return Resolver()
