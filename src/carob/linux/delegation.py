"""Control groups that are a plain user's to divide (cgroups(7), "Cgroup delegation").

Whoever manages the groups gives a user one by owning its directory to him: systemd the one of the user's own
manager, and those of units with ``Delegate=yes``. Processes may be moved only within it, so it is looked for
above the group that this process is in.
"""

from __future__ import annotations

import os

from carob.linux import cgroup
from carob.linux.files import read_file


class Delegated:
    """A ``group``, such as ``/user.slice/…/user@1000.service``, and the ``hierarchies`` where it is the
    user's.
    """

    __slots__ = ("group", "hierarchies")

    def __init__(self, group: str, hierarchies: list[str]) -> None:
        self.group = group
        self.hierarchies = hierarchies

    def controls(self, controller: str) -> bool:
        """Whether groups below can have limits by this controller, by its name of v2."""
        if self.hierarchies == [cgroup.V2]:
            path = f"{cgroup.directory(cgroup.V2, self.group)}/cgroup.subtree_control"
            return controller in read_file(path).decode().split()
        return any(controller in name.split(",") for name in self.hierarchies)


def find(group: str = "") -> Delegated | None:
    """The topmost group that is this user's and that this process is in or below; or ``group``, if it is.

    On v1, where it may be in another in each hierarchy, the one that is the user's in most of them.
    """
    found: dict[str, list[str]] = {}
    for name, own in cgroup.memberships(os.getpid()).items():
        top = group if group and _is_ours(name, group) else "" if group else _topmost(name, own)
        if top and name != cgroup.UNIFIED:
            found.setdefault(top, []).append(name)
    found = {top: names for top, names in found.items() if any(map(cgroup.holds_pods, names))}
    if not found:
        return None
    top = max(found, key=lambda one: len(found[one]))
    return Delegated(top, sorted(found[top]))


def _topmost(hierarchy: str, group: str) -> str:
    top = ""
    while group.strip("/") and _is_ours(hierarchy, group):
        top, group = group, os.path.dirname(group)
    return top


def _is_ours(hierarchy: str, group: str) -> bool:
    path = cgroup.directory(hierarchy, group)
    return os.access(path, os.W_OK) and os.access(f"{path}/cgroup.procs", os.W_OK)
