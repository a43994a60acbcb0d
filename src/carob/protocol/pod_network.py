"""What those who prepare, keep and attach a pod have agreed on about its networks.

A launch plan whose ``network`` is ``CNI`` has a key ``networks``: ``places`` (where plugins and this boot's
state are, ``carob.network.places``; ``null`` for a plain user's pod, which is never detached), ``hostname``,
and ``resolver``, true where the networks say what is in ``resolv.conf``. The networks themselves are in
``carob/network/plan.json``.

Apps are made while the pod is being attached, and wait before their own program is begun: a hook of the OCI
runtime reads one line from ``GATE`` in init's root. That is a FIFO until the pod is attached.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CNI = "cni"
GATE = "/run/network"

FILES = "carob/etc"
"""The pod's own hosts, hostname and resolv.conf, below its directory; each is bound into every app."""
HOSTS = f"{FILES}/hosts"
HOSTNAME = f"{FILES}/hostname"
RESOLV_CONF = f"{FILES}/resolv.conf"


def hooks() -> dict[str, Any]:
    """The hooks of an app that is to wait at the gate (runtime-spec, config.md, "POSIX-platform Hooks").

    The runtime itself waits, with the app's mounts made: the app's limits do not count for it. It fails where
    the hook ends without reading what it is told.
    """
    script = f"while read -r _; do :; done; read -r _ <{GATE}"
    return {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
