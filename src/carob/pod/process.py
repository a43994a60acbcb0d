"""The processes of a pod, by the files ``pid`` and ``ppid``.

In a pod of carob's ``pid`` is init, process 1 of the pod, and ``ppid`` the monitor, both as the host
numbers them. rkt's stage1s write one of the two: where only ``ppid`` is there, process 1 is its only
child.
"""

from __future__ import annotations

import os

from carob.errors import CarobError, Conflict
from carob.linux.proc import children_text
from carob.pod import layout
from carob.pod.failure import ChildNotReady
from carob.pod.tree import read_pod_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod.pod import Pod


def pid(pod: Pod) -> int:
    """See ``Pod.pid``. Trouble with ``pid`` is passed over, trouble with ``ppid`` is raised."""
    try:
        return read_pod_int(pod, layout.PID)
    except CarobError:
        return read_pod_int(pod, layout.PPID)


def only_child(parent: int) -> int:
    """The PID of the process' only child.

    Raises ``ChildNotReady`` where there is none, ``Conflict`` where there are several.
    """
    text = children_text(parent)
    if text is None and not os.path.exists("/proc/1/task/1/children"):
        children = _children_by_search(parent)
    else:
        children = [int(child) for child in (text or b"").split()]
    if len(children) > 1:
        raise Conflict(f"process {parent} has {len(children)} children, and one of them is the pod's first")
    if not children:
        raise ChildNotReady(f"process {parent} has no child yet")
    return children[0]


def _children_by_search(parent: int) -> list[int]:
    """For kernels without CONFIG_PROC_CHILDREN: everybody whose parent it is."""
    children = []
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                stat = file.readall()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if int(stat.rpartition(b")")[2].split()[1]) == parent:
            children.append(int(name))
    return children
