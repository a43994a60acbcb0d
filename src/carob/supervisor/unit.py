"""Staying in the control group of whoever runs a pod: loaded where the plan has a ``unit``."""

from __future__ import annotations

from carob.linux import cgroup
from carob.supervisor.journal import note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def stay(unit: dict[str, Any], *, monitor: int, init: int) -> None:
    """Moves the monitor back to where its caller is, and init, with all that it starts, where no group of
    the pod is.
    """
    for name in unit["hierarchies"]:
        group = f"{unit['group']}/{cgroup.SUPERVISOR}" if name == cgroup.V2 else unit["group"]
        try:
            cgroup.enter(name, group, monitor)
            if not cgroup.holds_pods(name):
                cgroup.enter(name, group, init)
        except OSError as error:
            note_failure(f"staying in the control group {group}", error)
