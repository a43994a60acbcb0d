"""Owners as an app sees them and as the host does: the same numbers, unless the app has a user namespace."""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_OVERFLOW = 65534
_WHOLE = [(0, 0, 1 << 32)]


class Owners:
    """The two maps of a process's user namespace, as ``/proc/<pid>/uid_map`` and ``gid_map`` have them."""

    __slots__ = ("_groups", "_users")

    def __init__(self, users: list[tuple[int, int, int]], groups: list[tuple[int, int, int]]) -> None:
        self._users = users
        self._groups = groups

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        """What the app sees; 65534 stands for what it does not know, as in the kernel."""
        return _inside(uid, self._users), _inside(gid, self._groups)

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """What the host sees. Raises ``InvalidInput`` for owners that the app cannot have."""
        return _outside(uid, self._users, "user"), _outside(gid, self._groups, "group")


SAME = Owners(_WHOLE, _WHOLE)


class OnDisk(Owners):
    """The owners of a pod's own layer and its image's, one on the other: what the pod wrote belongs to who
    that is on the host, and what the image has to the owners that the image names.
    """

    __slots__ = ()

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        """What the app would see."""
        found = super().inside(uid, gid)
        return (
            uid if found[0] == _OVERFLOW else found[0],
            gid if found[1] == _OVERFLOW else found[1],
        )


def of_plan(plan: Mapping[str, Any]) -> tuple[Owners, Owners]:
    """Those of a pod as the host sees them in its mounts, and on disk."""
    if "owners" not in plan:
        return SAME, SAME
    uids, gids = ([(one[0], one[1], one[2]) for one in plan["owners"][kind]] for kind in ("uids", "gids"))
    return Owners(uids, gids), OnDisk(uids, gids)


def of_process(pid: int) -> Owners:
    """The owners in a process's user namespace. Raises ``OSError``."""
    return Owners(parse(read_file(f"/proc/{pid}/uid_map")), parse(read_file(f"/proc/{pid}/gid_map")))


def parse(raw: bytes) -> list[tuple[int, int, int]]:
    """The lines of a map (user_namespaces(7)): (first inside, first outside, count)."""
    found = []
    for line in raw.splitlines():
        inside, outside, count = map(int, line.split())
        found.append((inside, outside, count))
    return found or _WHOLE


def _inside(number: int, ranges: list[tuple[int, int, int]]) -> int:
    for inside, outside, count in ranges:
        if outside <= number < outside + count:
            return inside + number - outside
    return _OVERFLOW


def _outside(number: int, ranges: list[tuple[int, int, int]], what: str) -> int:
    for inside, outside, count in ranges:
        if inside <= number < inside + count:
            return outside + number - inside
    raise InvalidInput(
        f"the app's user namespace has no {what} {number}",
        hint="change the files' owner first, or copy a tar with owners that it has",
    )
