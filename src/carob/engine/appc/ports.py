"""Ports in appc's words: those that images name, and those of the host that lead to them. Pure.

Loaded where an image names ports, or a pod publishes some.
"""

from __future__ import annotations

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from carob.engine.request.networking import Networking
    from carob.spec.appc.pod import PodManifest
    from carob.spec.appc.port import Port as AppcPort

    Port = tuple[str, int, int, str]

_MOST_SHOWN = 256


def exposed_ports(image: dict[str, Any]) -> list[Port]:
    """The ports that an OCI image exposes, named as docker2aci does: ``80-tcp``.

    Each is a name, the first port, how many, and the protocol.
    """
    found: list[Port] = []
    for text in (image.get("config") or {}).get("ExposedPorts") or {}:
        number, _, protocol = str(text).partition("/")
        if number.isascii() and number.isdecimal():
            found.append((f"{number}-{protocol or 'tcp'}", int(number), 1, protocol or "tcp"))
    return found


def of_app(image: dict[str, Any]) -> list[dict[str, Any]]:
    """``ports`` of an app section, the first of them where an image has thousands: every list reads it.

    What appc does not take, such as a port 0, is left out.
    """
    every = [
        {"name": name, "protocol": protocol, "port": port, "count": count, "socketActivated": False}
        for name, port, count, protocol in exposed_ports(image)
        if 1 <= port <= 65535 and protocol in ("tcp", "udp", "sctp")
    ]
    return every[:_MOST_SHOWN]


def of_pod(networking: Networking) -> list[dict[str, Any]]:
    """``ports`` of a pod manifest. A port 0 of the host stands for a free one."""
    found = []
    for one in networking.ports:
        name = f"{one.pod_port}-{one.protocol}"
        port = {"name": name, "protocol": one.protocol, "port": one.pod_port, "count": 1}
        entry: dict[str, Any] = {
            "name": name,
            "hostPort": one.host_port,
            "podPort": {**port, "socketActivated": False},
        }
        found.append(entry | ({"hostIP": one.host_ip} if one.host_ip else {}))
    for named in networking.named_ports:
        entry = {"name": named.name, "hostPort": named.host_port}
        found.append(entry | ({"hostIP": named.host_ip} if named.host_ip else {}))
    return found


def read(manifest: PodManifest) -> list[str]:
    """The ``ports`` of a pod manifest, as ``PodRequest`` takes them.

    Without a ``podPort`` it is that of the app's port with the name: in the manifest, or else in the image.
    """
    by_name = {
        str(port.name): port
        for entry in manifest.apps
        for port in (() if entry.app is None else entry.app.ports)
    }
    found: list[str] = []
    for number, one in enumerate(manifest.ports):
        host = "" if one.host_ip is None else f"[{one.host_ip}]:" if ":" in one.host_ip else f"{one.host_ip}:"
        to = one.pod_port or by_name.get(str(one.name))
        if to is not None:
            found += _mappings(f"ports[{number}]", host, one.host_port, to)
        elif one.host_port:
            found.append(f"{one.name}:{host}{one.host_port}")
        else:
            raise InvalidInput(f"ports[{number}]: no app section has a port {str(one.name)!r}")
    return found


def _mappings(path: str, host: str, host_port: int, to: AppcPort) -> Iterable[str]:
    protocol = to.protocol or "tcp"
    if host_port + to.count - 1 > 65535:
        raise InvalidInput(f"{path}: the last port of the host must be within 1 to 65535")
    for offset in range(to.count):
        first = str(host_port + offset) if host_port else ""
        yield (
            f"{host}{first}:{to.port + offset}/{protocol}"
            if host or first
            else f"{to.port + offset}/{protocol}"
        )
