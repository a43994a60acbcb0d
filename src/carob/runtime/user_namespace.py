"""The OCI configuration of an app in its pod's user namespace: pure, runtime-spec 1.0.

A namespace that init keeps is joined by path. runc wants to know its mappings as well, to tell who is who.
What the kernel lets nobody mount there, because it shows what is not the pod's own, comes from init's root.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Range = tuple[int, int, int]

_GROUPS = "/sys/fs/cgroup"


def take_on(
    config: dict[str, Any],
    uids: Sequence[Range],
    gids: Sequence[Range],
    *,
    shares_processes: bool,
    shares_network: bool,
) -> None:
    """Adds the mappings to a configuration that names the namespace. ``/proc`` is init's where an app
    ``shares_processes`` with others of its pod, ``/sys`` is where it ``shares_network`` with the host.
    """
    linux = config["linux"]
    for kind, mappings in (("uidMappings", uids), ("gidMappings", gids)):
        linux[kind] = [
            {"containerID": inside, "hostID": outside, "size": count} for inside, outside, count in mappings
        ]
    for mount in config["mounts"]:
        if (mount["type"] == "proc" and shares_processes) or (mount["type"] == "sysfs" and shares_network):
            mount["source"] = mount["destination"]
            mount["type"] = "bind"
            mount["options"] = ["rbind", "rprivate", *mount["options"]]
            if mount["destination"] == "/sys" and linux["maskedPaths"]:
                linux["maskedPaths"].append(_GROUPS)
