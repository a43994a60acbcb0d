"""Control groups as directories: v1, v2 and both at once (hybrid), cgroups(7).

A pod has one group of its own per hierarchy, ``/carob/<uuid>``, with one below it for each app. Only the
hierarchies that limit, freeze or count are used; in the others the supervisor merely leaves its
caller's group, so that stopping the caller's unit does not stop the pod.
"""

from __future__ import annotations

import errno
import os
from _thread import get_ident

from carob.linux.files import read_file, write_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MOUNT_POINT = "/sys/fs/cgroup"
UNIFIED = "unified"
SUPERVISOR = "supervisor"
"""A group on v2 for those who look after groups beside it: podman's word as well."""
V2 = ""
_LOOK = "_look-"
_CONTROLLERS_OF_PODS = {"memory", "pids", "cpu", "cpuacct", "freezer", "devices"}


def hierarchies() -> list[str]:
    """The mounted hierarchies by directory name below ``/sys/fs/cgroup``; ``[""]`` where all is v2."""
    if os.path.exists(f"{MOUNT_POINT}/cgroup.controllers"):
        return [V2]
    try:
        with os.scandir(MOUNT_POINT) as entries:
            found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(name for name in found if os.path.exists(f"{MOUNT_POINT}/{name}/cgroup.procs"))


def holds_pods(hierarchy: str) -> bool:
    """Whether pods get groups of their own in this hierarchy."""
    return hierarchy == V2 or not _CONTROLLERS_OF_PODS.isdisjoint(hierarchy.split(","))


def directory(hierarchy: str, group: str) -> str:
    """The directory of a group such as ``/carob/<uuid>`` in a hierarchy."""
    base = f"{MOUNT_POINT}/{hierarchy}" if hierarchy else MOUNT_POINT
    return base + group.rstrip("/")


def memberships(pid: int) -> dict[str, str]:
    """The group of a process in each mounted hierarchy, by hierarchy name (``/proc/<pid>/cgroup``)."""
    found: dict[str, str] = {}
    mounted = hierarchies()
    for line in _read(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            name = V2 if mounted == [V2] else UNIFIED
        else:
            name = controllers.removeprefix("name=")
        if name in mounted:
            found[name] = group
    return found


def can_filter_devices() -> bool:
    """Whether a runtime can limit devices here.

    On v1 it takes root. On v2 that is a BPF program, for which crun raises the limit of locked memory:
    CAP_SYS_RESOURCE (24).
    """
    if hierarchies() != [V2]:
        return os.geteuid() == 0
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) & 1 << 24)
    return False


def create(group: str, more: Sequence[str] = ()) -> list[str]:
    """Makes a pod's group in every hierarchy that holds pods, and in ``more``, and returns those hierarchies.

    For a user who is not root it is made where it may be (``carob.linux.delegation``).
    The parent may be removed by whoever finds it empty at this moment, so both are made again until
    the child is there.
    """
    names = [name for name in hierarchies() if holds_pods(name) or name in more]
    if os.geteuid() != 0:
        names = [name for name in names if may_make(name, group)]
    for name in names:
        path = directory(name, group)
        while True:
            try:
                os.mkdir(path, 0o755)
            except FileExistsError:
                pass
            except FileNotFoundError:
                _make_parent(name, os.path.dirname(group))
                continue
            break
        if name == V2:
            _delegate(group)
        elif "cpuset" in name.split(","):
            _take_on_cpusets(name, group)
    return names


def may_make(hierarchy: str, group: str) -> bool:
    """Whether this user may make a group: the nearest one above that is there decides."""
    while not os.path.isdir(path := directory(hierarchy, group)):
        group = os.path.dirname(group)
    return os.access(path, os.W_OK)


def _make_parent(hierarchy: str, group: str) -> None:
    try:
        os.makedirs(directory(hierarchy, group), 0o755, exist_ok=True)
    except FileNotFoundError:
        return
    if hierarchy == V2:
        names = group.strip("/").split("/")
        for depth in range(len(names) + 1):
            _delegate("/" + "/".join(names[:depth]))


def _take_on_cpusets(hierarchy: str, group: str) -> None:
    """Gives new groups of v1 the processors and memory of those above: without, nothing can enter them.

    From the top down, once the last is there: whoever has made one above may not have come to this yet.
    """
    path = directory(hierarchy, "/")
    for name in group.strip("/").split("/"):
        above, path = path, os.path.join(path, name)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not _read(f"{path}/{file}").strip():
                _write(f"{path}/{file}", _read(os.path.join(above, file)))


def _delegate(group: str) -> None:
    """Turns on what controllers there are for the groups below a v2 group (cgroup.subtree_control)."""
    path = directory(V2, group)
    try:
        available = set(_read(f"{path}/cgroup.controllers").split())
    except OSError:
        return
    for name in sorted(available & {"memory", "pids", "cpu", "cpuset", "io", "hugetlb"}):
        try:
            _write(f"{path}/cgroup.subtree_control", f"+{name}")
        except OSError:
            continue


def enter(hierarchy: str, group: str, pid: int = 0) -> None:
    """Moves a process (0: this one) into a group."""
    _write(f"{directory(hierarchy, group)}/cgroup.procs", str(pid))


def leave_to_root(*pids: int) -> None:
    """Moves these processes of one origin to the root of every hierarchy where they are elsewhere.

    At least one write is made, if only to stay, because the first one after some quiet is slow and may be
    wanted now rather than later. What is refused is left.
    """
    found = memberships(pids[0])
    elsewhere = [name for name, group in found.items() if group != "/"]
    for name in elsewhere or list(found)[:1]:
        for pid in pids:
            try:
                enter(name, "/", pid)
            except OSError:
                continue


def place_init(group: str, pid: int) -> None:
    """Puts a pod's init, which has no children yet, into the pod's group.

    On v2 that is a leaf of its own (cgroups(7), no internal processes), with a name that no app can have.
    """
    for name in hierarchies():
        if name == V2:
            os.makedirs(directory(name, f"{group}/_init"), 0o755, exist_ok=True)
            enter(name, f"{group}/_init", pid)
        elif holds_pods(name) and (os.geteuid() == 0 or os.path.isdir(directory(name, group))):
            enter(name, group, pid)


def remove(group: str) -> list[str]:
    """Removes a group and all below it in every hierarchy, and its parent where that is left empty.

    Returns the directories that would not go because processes are in them.
    """
    busy: list[str] = []
    below: set[str] = set()
    names = hierarchies()
    for name in names:
        top = directory(name, group)
        # What was below in one hierarchy is mostly all that is in the next: a try is cheaper than a look.
        if not _is_gone([f"{top}/{one}" for one in below], top):
            below |= _remove_tree(top, busy)
    _remove_empty(names, os.path.dirname(group))
    return busy


def _is_gone(below: list[str], top: str) -> bool:
    for path in (*below, top):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _remove_tree(top: str, busy: list[str]) -> set[str]:
    """Removes a directory and all below; what is in use goes to ``busy``. Returns the names below."""
    below: set[str] = set()
    for path, directories, _ in os.walk(top, topdown=False):
        if path == top:
            below.update(directories)
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno == errno.EBUSY:
                busy.append(path)
            elif error.errno != errno.ENOENT:
                raise
    return below


def remove_parent(group: str) -> None:
    """Removes the group above all pods where nothing is in it but what was made for a look by who is dead."""
    names = hierarchies()
    for name in names:
        try:
            found = os.listdir(directory(name, group))
        except OSError:
            continue
        for one in found:
            if one.startswith(_LOOK) and not os.path.exists(f"/proc/{one.split('-')[1]}"):
                _remove_empty([name], f"{group}/{one}")
    _remove_empty(names, group)


def look_group(above: str) -> str:
    """A group of this thread's below another, to see what groups there have; no pod has such a name."""
    return f"{above}/{_LOOK}{os.getpid()}-{get_ident()}"


def _remove_empty(names: list[str], group: str) -> None:
    for name in names:
        try:
            os.rmdir(directory(name, group))
        except OSError:
            continue


def was_out_of_memory(group: str) -> bool:
    """Whether the kernel killed a process of this group, or below, for want of memory."""
    for name in hierarchies():
        if name == V2:
            counter = f"{directory(name, group)}/memory.events"
        elif "memory" in name.split(","):
            counter = f"{directory(name, group)}/memory.oom_control"
        else:
            continue
        try:
            lines = _read(counter).splitlines()
        except OSError:
            return False
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)
    return False


def _write(path: str, text: str) -> None:
    write_once(path, text.encode())


def _read(path: str) -> str:
    return read_file(path).decode("utf-8", "surrogateescape")
