"""Stopping all processes of a control group where they are: the freezer of cgroups v1 and v2, cgroups(7).

On v1 what is frozen does not even die of SIGKILL before it is thawed.
"""

from __future__ import annotations

import os
from _signal import SIGKILL

from carob.linux import cgroup
from carob.linux import syscall as _sys
from carob.linux.files import read_file, write_once

V1 = "freezer"


def freeze(group: str) -> None:
    """Begins to freeze a group such as ``/carob/<uuid>/<app>``, with all below it; see ``is_frozen``.

    Raises ``OSError``; ``FileNotFoundError`` where there is no freezer.
    """
    _write(*_switch(group), frozen=True)


def thaw(group: str) -> None:
    """Lets a group go on; ``OSError`` as for ``freeze``."""
    _write(*_switch(group), frozen=False)


def thaw_all(group: str) -> bool:
    """Lets a group and the groups right below it go on, those that are there; whether one was frozen."""
    directory, name = _switch(group)
    found = False
    try:
        with os.scandir(directory) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return False
    for one in (directory, *below):
        try:
            if read_file(f"{one}/{name}").strip() not in (b"THAWED", b"0"):
                _write(one, name, frozen=False)
                found = True
        except OSError:
            continue
    return found


def is_frozen(group: str) -> bool:
    """Whether every process of the group is frozen by now; ``OSError`` where that cannot be told."""
    directory, name = _switch(group)
    if name == "freezer.state":
        return read_file(f"{directory}/{name}").strip() == b"FROZEN"
    return b"frozen 1" in read_file(f"{directory}/cgroup.events").splitlines()


def members(group: str) -> list[int]:
    """The processes of a group and of all below it, as far as this PID namespace shows them; none where it is
    not there.
    """
    names = [name for name in cgroup.hierarchies() if cgroup.holds_pods(name)]
    # What is in a pod is in all of its hierarchies; the freezer's is the one that can hold it still.
    for name in sorted(names, key=lambda one: one != V1)[:1]:
        return members_below(cgroup.directory(name, group))
    return []


def members_below(top: str) -> list[int]:
    """The same by a group's directory in one hierarchy."""
    found: set[int] = set()
    for path, _, _ in os.walk(top):
        try:
            found.update(map(int, read_file(f"{path}/cgroup.procs").split()))
        except OSError:
            continue  # gone since, or one of threads (EOPNOTSUPP)
    return sorted(found - {0})


def kill_all(group: str) -> bool:
    """Sends SIGKILL to all processes of a group and below; whether there were any. See ``members``.

    They are frozen meanwhile, where that can be, so that none makes another while its parent is killed, or
    ends and leaves its number to a process of somebody else.
    """
    directory, name = _switch(group)
    if name == "cgroup.freeze" and os.path.exists(f"{directory}/cgroup.kill"):  # Linux 5.14
        found = bool(members(group))
        write_once(f"{directory}/cgroup.kill", b"1")
        return found
    try:
        freeze(group)
    except OSError:
        pass
    # A number that is still in the group once its process is held is that process's.
    held = [(pid, pidfd) for pid in members(group) if (pidfd := _hold(pid)) >= 0]
    still = set(members(group)) if held else set()
    for pid, pidfd in held:
        if pid in still:
            _kill(pidfd)
        os.close(pidfd)
    thaw_all(group)
    return bool(held)


def _hold(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


def _kill(pidfd: int) -> None:
    try:
        _sys.syscall(_sys.SYS_PIDFD_SEND_SIGNAL, pidfd, SIGKILL, None, 0)
    except OSError:
        return


def _switch(group: str) -> tuple[str, str]:
    """The group's directory where it can be frozen, and the file that does it."""
    if os.path.exists(f"{cgroup.MOUNT_POINT}/cgroup.controllers"):
        return cgroup.directory(cgroup.V2, group), "cgroup.freeze"
    return cgroup.directory(V1, group), "freezer.state"


def _write(directory: str, name: str, *, frozen: bool) -> None:
    words = (b"THAWED", b"FROZEN") if name == "freezer.state" else (b"0", b"1")
    write_once(f"{directory}/{name}", words[frozen])
