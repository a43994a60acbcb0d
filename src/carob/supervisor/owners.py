"""Mapping owners into the user namespace of a pod's init, by the monitor: for those who are not root."""

from __future__ import annotations

import os

from carob.linux.files import write_once

_SEARCH = ("/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin")


def map_owners(pid: int, uids: str, gids: str) -> None:
    """Maps users and groups, ``INSIDE:OUTSIDE:COUNT,...`` each, into the user namespace of a process.

    One alone needs nobody's help (user_namespaces(7)); more are for newuidmap(1) and newgidmap(1), which look
    whether they are the user's to map. Raises ``OSError`` with what they said on standard error.
    """
    if "," not in uids and "," not in gids:
        write_once(f"/proc/{pid}/setgroups", b"deny")
        write_once(f"/proc/{pid}/uid_map", uids.replace(":", " ").encode())
        write_once(f"/proc/{pid}/gid_map", gids.replace(":", " ").encode())
        return
    children = [_spawn(name, pid, ranges) for name, ranges in (("newuidmap", uids), ("newgidmap", gids))]
    for name, child in children:
        _, status = os.waitpid(child, 0)
        if status:
            raise OSError(f"{name} could not map your owners; look at /etc/subuid and /etc/subgid")


def _spawn(name: str, pid: int, ranges: str) -> tuple[str, int]:
    for directory in _SEARCH:
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            argv = [name, str(pid), *ranges.replace(",", ":").split(":")]
            return name, os.posix_spawn(path, argv, {"LC_ALL": "C.UTF-8"})
    raise OSError(f"{name} is not installed (Debian: uidmap)")
