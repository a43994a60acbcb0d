"""A pod below the control group of whoever runs it (``cgroups="split"``): a systemd unit with Delegate=yes.

Whoever manages the unit then sees the pod as part of it: resources count there, limits hold, and
ending the unit ends the pod. On v2 no group has both processes and limited groups below it (cgroups(7)), so
the caller goes one down, to ``supervisor``, and the monitor is beside it there.
"""

from __future__ import annotations

import os

from carob.errors import Conflict, PermissionDenied, Unsupported
from carob.linux import cgroup
from carob.linux.cgroup import SUPERVISOR
from carob.linux.failure import failed
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OF_UNITS = (cgroup.V2, "systemd", cgroup.UNIFIED)
_SHOWN = 5


def take_place() -> tuple[str, dict[str, Any]]:
    """The caller's group, and what the launch plan says of it: ``group`` and the ``hierarchies`` it is in.

    On v2 this process moves below it. Raises ``Unsupported`` for who is in no group, ``PermissionDenied``,
    ``Conflict`` where others are in it as well.
    """
    if os.geteuid() != 0:
        raise PermissionDenied("cgroups=split takes root", hint="leave it out, or run the pod as root")
    found = cgroup.memberships(os.getpid())
    own = [found[name] for name in _OF_UNITS if found.get(name, "/") != "/"]
    if not own:
        raise Unsupported(
            "cgroups=split: this process is in no control group of its own",
            hint="run carob in a systemd unit with Delegate=yes",
        )
    group = own[0].removesuffix(f"/{SUPERVISOR}")
    if cgroup.V2 in found:
        _make_room(group)
    names = [name for name, one in found.items() if one.removesuffix(f"/{SUPERVISOR}") == group]
    return group, {"group": group, "hierarchies": sorted(names)}


def _make_room(group: str) -> None:
    top = cgroup.directory(cgroup.V2, group)
    try:
        os.makedirs(f"{top}/{SUPERVISOR}", 0o755, exist_ok=True)
        cgroup.enter(cgroup.V2, f"{group}/{SUPERVISOR}")
        others = read_file(f"{top}/cgroup.procs").split()
    except OSError as error:
        raise failed(error, f"cgroups=split: the control group {group} cannot be divided") from error
    if others:
        shown = ", ".join(str(int(pid)) for pid in others[:_SHOWN])
        raise Conflict(
            f"cgroups=split: the control group {group} has other processes: {shown}",
            hint="have carob be the unit's only process: exec carob …",
        )
