"""What is left of a pod among the host's processes, whose first process does not take the others with it.

Such a pod is over when its control group is empty, too.
"""

from __future__ import annotations

from time import sleep

from carob.engine.failures import is_shortage
from carob.linux import freezer
from carob.linux.files import read_file
from carob.protocol import plan as plans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from carob.engine.observe.keeper import Deadline
    from carob.pod import Pod

_SHORTEST_S = 0.002
_LONGEST_S = 0.25


def group_of(pod: Pod) -> str:
    """The pod's group where it is among the host's processes; ``""`` for all others, which are most."""
    try:
        plan = plans.read(read_file(plans.PLAN, dir_fd=pod.fd()))
        if "pid" not in plan.get("host_namespaces", ()):
            return ""
        group = plan["cgroup"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if is_shortage(error):
            raise
        return ""
    return group if isinstance(group, str) and is_own(pod, group) else ""


def is_own(pod: Pod, group: str) -> bool:
    """Whether a control group is the pod's by its name, or is below that: what is in it may be ended."""
    return str(pod.uuid) in group.split("/")


def left(pod: Pod) -> list[int]:
    """The processes in that group."""
    group = group_of(pod)
    return freezer.members(group) if group else []


def pauses_until_none(pod: Pod) -> Iterator[float]:
    """Yields how long to sleep (s) before the next look, while there are some: nothing tells of an end."""
    group = group_of(pod)
    pause_s = _SHORTEST_S
    while group and freezer.members(group):
        yield pause_s
        pause_s = min(pause_s * 1.5, _LONGEST_S)


def end(pod: Pod, deadline: Deadline) -> bool:
    """Kills what is left, and waits for its end; whether nothing is left at last."""
    group = group_of(pod)
    pause_s = _SHORTEST_S
    while group and freezer.kill_all(group):
        if deadline.left_s() == 0:
            return False
        sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_S)
    return True
