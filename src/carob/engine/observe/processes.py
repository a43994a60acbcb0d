"""The processes of a running pod, as the host sees them: which there are, and which app each belongs to."""

from __future__ import annotations

import os

from carob.engine.observe.keeper import keepers
from carob.engine.observe.plan import read_plan
from carob.errors import Conflict
from carob.linux import cgroup, freezer
from carob.linux.files import read_file
from carob.linux.proc import children_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.pod import Pod


def init_pid(pod: Pod) -> int:
    """The pod's init in the host's PID namespace. Raises ``Conflict`` where the pod does not run."""
    init, _ = keepers(pod)
    if init is None or not init.is_alive():
        raise Conflict(f"pod {pod.uuid} does not run")
    return init.pid


def by_app(pod: Pod, apps: Sequence[str]) -> dict[str, list[int]]:
    """The host's PIDs of each app's processes, the first one first; none where the app does not run.

    They may end, and their numbers be used again, at any moment. Raises ``Conflict`` where the pod does
    not run.
    """
    init = init_pid(pod)
    group = read_plan(pod)["cgroup"]
    found: dict[str, list[int]] = {}
    for app in apps:
        pids = in_group(f"{group}/{app}") if group else None
        first = first_of(init, app)
        if pids is None:  # no cgroups for this user: what descends from the app's first process
            pids = descendants(first) if first is not None else []
        if first in pids:
            pids.remove(first)
            pids.insert(0, first)
        found[app] = pids
    return found


def in_group(group: str) -> list[int] | None:
    """The processes of a cgroup and all below it; ``None`` where it is not there."""
    for name in cgroup.hierarchies():
        if not cgroup.holds_pods(name):
            continue
        top = cgroup.directory(name, group)
        if not os.path.isdir(top):
            continue
        return freezer.members_below(top)
    return None


def descendants(pid: int) -> list[int]:
    """A process, its children, theirs, and so on."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += children(one)
    return found


def children(pid: int) -> list[int]:
    """The processes that any thread of this one made, or was given."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        try:
            found += map(int, read_file(f"/proc/{pid}/task/{thread}/children").split())
        except OSError:
            continue
    return found


def first_of(init: int, app: str) -> int | None:
    """The app's first process: the child of init that has the PID which the runtime wrote down for init."""
    try:
        noted = int(read_file(f"/proc/{init}/root/run/{app}.pid", limit_bytes=64))
    except (OSError, ValueError):
        return None
    text = children_text(init) or b""
    depth = len(namespace_pids(init))
    for pid in map(int, text.split()):
        numbers = namespace_pids(pid)
        if len(numbers) >= depth and numbers[depth - 1] == noted:
            return pid
    return None


def namespace_pids(pid: int) -> list[int]:
    """The process's number in each PID namespace, the host's first (``NSpid``, proc_pid_status(5))."""
    try:
        status = read_file(f"/proc/{pid}/status")
    except OSError:
        return []
    for line in status.splitlines():
        if line.startswith(b"NSpid:"):
            return [int(number) for number in line.split()[1:]]
    return []
