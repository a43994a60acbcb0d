"""The networks that carob brings along, as configurations like anybody's. Pure.

``default`` is a bridge whose pods reach each other, the host and, masqueraded, whatever the host reaches.
``default-restricted`` is one whose pods reach each other and the host, and nothing else. A configuration of
the same name in one of the directories takes their place, as in rkt.
"""

from __future__ import annotations

from carob.network.attachment import NAT
from carob.network.leases import HOST_LOCAL
from carob.spec.cni.network_option import DEFAULT, DEFAULT_RESTRICTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.spec.cni.addresses import Cidr

BRIDGES = {DEFAULT: "carob0", DEFAULT_RESTRICTED: "carob1"}
SOURCE = "carob's own"


def configuration(name: str, subnet: Cidr, *, mtu: int, leases: str) -> dict[str, Any]:
    """The configuration of a network named in ``BRIDGES``.

    ``mtu`` 0 leaves the kernel's; ``leases`` is the directory for host-local's files.
    """
    internal = name == DEFAULT_RESTRICTED
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": BRIDGES[name],
        "isGateway": True,
        # With br_netfilter a pod's packet to its own published port turns round in the bridge itself.
        "hairpinMode": True,
        "capabilities": {"ips": True, "mac": True},
        "ipam": {
            "type": HOST_LOCAL,
            "dataDir": leases,
            "ranges": [[{"subnet": str(subnet)}]],
            "routes": [] if internal else [{"dst": "0.0.0.0/0"}],
        },
    }
    if mtu:
        bridge["mtu"] = mtu
    nat = {
        "type": NAT,
        "capabilities": {"portMappings": True},
        "interface": BRIDGES[name],
        "subnets": [str(subnet)],
        "ipMasq": not internal,
        "internal": internal,
    }
    # Plugins before 0.9 know 0.4.0 at most; what is configured here reads the same in both.
    return {"cniVersions": ["0.4.0", "1.0.0"], "name": name, "plugins": [bridge, nat]}
