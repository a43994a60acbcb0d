"""Stopping all processes of a control group where they are: the freezer of cgroups v1 and v2, cgroups(7).

On v1 what is frozen does not even die of SIGKILL before it is thawed.
"""

from __future__ import annotations

import os

from carob.linux import cgroup
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


def _switch(group: str) -> tuple[str, str]:
    """The group's directory where it can be frozen, and the file that does it."""
    if os.path.exists(f"{cgroup.MOUNT_POINT}/cgroup.controllers"):
        return cgroup.directory(cgroup.V2, group), "cgroup.freeze"
    return cgroup.directory(V1, group), "freezer.state"


def _write(directory: str, name: str, *, frozen: bool) -> None:
    words = (b"THAWED", b"FROZEN") if name == "freezer.state" else (b"0", b"1")
    write_once(f"{directory}/{name}", words[frozen])
