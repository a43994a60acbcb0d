"""A pod's own ``/etc/hosts``, ``/etc/hostname`` and ``/etc/resolv.conf``: made with it, bound into its apps.

They stand in the pod's directory. Apps may write to them, as they may elsewhere in their root; what the image
has in their place is hidden. While the pod is being attached its addresses are added
(``carob.network.pod_files``).
"""

from __future__ import annotations

import os

from carob.linux.files import read_file
from carob.network.host_resolver import host_resolver
from carob.protocol import plan as plans
from carob.protocol.pod_network import HOSTNAME, HOSTS, RESOLV_CONF
from carob.runtime.bundle import Volume
from carob.spec.cni.network_option import HOST, NETWORKS
from carob.spec.cni.resolver import FROM_HOST, FROM_NETWORKS, GIVEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from carob.engine.request.networking import Networking

_LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
_LIMIT_BYTES = 1 << 20


def contents(networking: Networking, hostname: str) -> dict[str, str]:
    """The files by their paths in the pod's directory."""
    found = {HOSTNAME: f"{hostname}\n", HOSTS: _hosts(networking, hostname)}
    resolv_conf = _resolv_conf(networking)
    if resolv_conf is not None:
        found[RESOLV_CONF] = resolv_conf
    return found


def _hosts(networking: Networking, hostname: str) -> str:
    """A pod that is not going to be attached calls itself 127.0.1.1, as Debian's hosts do."""
    kind = networking.wanted.kind
    text = _host_file("hosts") if networking.hosts_of_host or kind == HOST else _LOCALHOST
    if text and not text.endswith("\n"):
        text += "\n"
    text += "".join([f"{address} {name}\n" for address, name in networking.hosts])
    return text if kind == NETWORKS else f"{text}127.0.1.1 {hostname}\n"


def _resolv_conf(networking: Networking) -> str | None:
    """``None`` where the image's own is to be seen."""
    wanted = networking.resolver
    if wanted.origin == GIVEN:
        return wanted.resolver.text()
    if wanted.origin == FROM_HOST or (wanted.origin == FROM_NETWORKS and networking.wanted.kind == HOST):
        return _host_file("resolv.conf")
    if wanted.origin == FROM_NETWORKS and networking.wanted.kind == NETWORKS:
        return host_resolver().text()
    return None


def _host_file(name: str) -> str:
    """The host's file as it is; nothing where there is none."""
    try:
        return read_file(f"/etc/{name}", limit_bytes=_LIMIT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def volumes(names: Iterable[str]) -> list[Volume]:
    """Where an app sees the files of these names."""
    return [
        Volume(f"{plans.POD_AT}/{name}", f"/etc/{os.path.basename(name)}", read_only=False, recursive=False)
        for name in names
    ]
