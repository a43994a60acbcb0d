"""What an app without isolation sees beside its image: the host's ``/dev``, ``/proc`` and ``/sys``.

They come with all that is mounted below them, and what the host mounts there later (where it shares its
mounts); what the app mounts there stays its own. rkt's *fly* hands that back to the host, where it outlives
the pod. ``/tmp`` is in memory, as there.
"""

from __future__ import annotations

import os

from carob.engine.prepare import confining
from carob.engine.request.bare import loosened
from carob.protocol import plan as plans
from carob.runtime.bundle import Volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.request.security import Security
    from carob.runtime.confinement import Confinement

_OF_HOST = ("dev", "proc", "sys")


def confinement(security: Security | None, runtime: str) -> Confinement:
    """Nothing of the app's own but what was asked for; raises what ``confining.settle`` does."""
    found = confining.settle(loosened(security), runtime)
    found.nodes = ()  # they are in the host's /dev
    return found


def volumes(app: str, targets: list[str]) -> tuple[list[dict[str, Any]], list[Volume]]:
    """Volumes for the launch plan, and mounts for the runtime; ``targets`` has what else is mounted."""
    planned: list[dict[str, Any]] = []
    mounts: list[Volume] = []
    for name in _OF_HOST:
        place = f"{plans.VOLUMES_AT}/{app}-of-host/{name}"
        planned.append(
            {"kind": "host", "target": place, "source": f"/{name}", "subpath": "", "recursive": True,
             "options": [], "propagation": "slave"}
        )  # fmt: skip
        mounts.append(Volume(place, f"/{name}", read_only=False, recursive=True, propagation="slave"))
    if "/tmp" not in [os.path.normpath(target) for target in targets]:
        place = f"{plans.VOLUMES_AT}/{app}-of-host/tmp"
        planned.append(
            {"kind": "memory", "target": place, "name": "", "subpath": "", "size_bytes": None,
             "mode": 0o1777, "uid": 0, "gid": 0, "options": ["nosuid", "nodev"]}
        )  # fmt: skip
        mounts.append(Volume(place, "/tmp", read_only=False, options=("nosuid", "nodev")))
    return planned, mounts
