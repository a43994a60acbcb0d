"""Where a plain user's pod has its control group: in one that is delegated to the user."""

from __future__ import annotations

import os

from carob.errors import Unsupported
from carob.linux import cgroup, delegation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.request.pod import PodRequest
    from carob.linux.delegation import Delegated

_HOW = "systemd-run --user --scope -p Delegate=yes carob run …; carob doctor tells more"


def place(request: PodRequest) -> Delegated | None:
    """The group to have the pod's below; ``None`` where there is none, and none is needed.

    Raises ``Unsupported`` where limits, or a group, are asked for that cannot be had.
    """
    found = delegation.find(request.cgroup_parent)
    if found is None and request.cgroup_parent:
        raise Unsupported(
            f"the control group {request.cgroup_parent} is not delegated to you",
            hint="leave it out, or run the pod as root",
        )
    if found is None and (request.resources is not None or any(app.resources for app in request.apps)):
        raise Unsupported(f"limits need a control group of yours, and {_own()} is not yours", hint=_HOW)
    return found


def _own() -> str:
    names = [name for name in cgroup.hierarchies() if cgroup.holds_pods(name)]
    found = cgroup.memberships(os.getpid())
    return next((cgroup.directory(name, found[name]) for name in names if name in found), cgroup.MOUNT_POINT)
