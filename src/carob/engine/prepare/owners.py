"""Whose owners a user's pods have: the ranges that are mapped into their user namespaces.

Root's pods have none of their own and every owner is itself. A user's pods have what the user's image layers
are unpacked with: 0 is the user, 1 and so on are the ranges of subuid(5); without ranges the user is alone.
"""

from __future__ import annotations

import os

from carob.engine.request.mounts import EmptyVolume, MemoryVolume
from carob.errors import InvalidInput, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.engine.request.pod import App, PodRequest
    from carob.linux.idmap import Range
    from carob.runtime.bundle import Process


class Owners:
    """The mappings of a user namespace, each range (first inside, first outside, how many).

    ``hold_init`` says that the pod's init is in it too, as in users' pods: so it has no control group.
    """

    __slots__ = ("gids", "uids")
    hold_init = True

    def __init__(self, uids: Sequence[Range], gids: Sequence[Range]) -> None:
        self.uids = tuple(uids)
        self.gids = tuple(gids)

    def check(self, uid: int, gid: int, groups: Sequence[int], what: str) -> None:
        """Raises ``InvalidInput`` for who is not mapped, and so cannot be anybody in the pod."""
        for number, ranges, kind, file in (
            (uid, self.uids, "user", "/etc/subuid"),
            *((one, self.gids, "group", "/etc/subgid") for one in (gid, *groups)),
        ):
            if not any(inside <= number < inside + count for inside, _, count in ranges):
                raise InvalidInput(
                    f"{what}: {kind} {number} is not mapped into your pods",
                    hint=f"have a range for you written into {file}, or run it as another: --user 0",
                )

    def check_app(self, app: App, process: Process, what: str) -> None:
        """The same of all whom an app names: its user and groups, and the owners of its files and volumes."""
        self.check(process.uid, process.gid, process.groups, what)
        for file in app.files:
            uid = process.uid if file.uid is None else file.uid
            self.check(uid, process.gid if file.gid is None else file.gid, (), f"{what}, file {file.target}")
        for mount in app.mounts:
            if isinstance(mount.source, EmptyVolume | MemoryVolume):
                self.check(mount.source.uid, mount.source.gid, (), f"{what}, volume at {mount.target}")

    def check_request(self, request: PodRequest) -> None:
        """Raises ``Unsupported`` for what is root's alone to give."""
        for is_asked, what in (
            (request.isolation == "none", "a pod without isolation"),
            (request.pid == "host", "a pod among the host's processes, which ends by its control group,"),
            (request.ipc == "host", "the host's IPC namespace"),
            (request.uts == "host", "the host's name"),
        ):
            if is_asked:
                raise Unsupported(f"{what} needs root", hint="leave it out, or run the pod as root")

    def maps_group(self, gid: int) -> bool:
        """Whether a group of the pod is somebody outside."""
        return any(inside <= gid < inside + count for inside, _, count in self.gids)

    def document(self) -> dict[str, Any]:
        """As they stand in a launch plan."""
        return {"uids": [list(one) for one in self.uids], "gids": [list(one) for one in self.gids]}

    @property
    def words(self) -> tuple[str, str]:
        """Users and groups as a supervisor is told of them: ``INSIDE:OUTSIDE:COUNT,...``."""
        uids, gids = (
            ",".join(":".join(str(number) for number in one) for one in ranges)
            for ranges in (self.uids, self.gids)
        )
        return uids, gids


def owners_here() -> Owners | None:
    """Those of the pods that this process makes; ``None`` for root, whose pods need no user namespace."""
    user = os.geteuid()
    if user == 0:
        return None
    from carob.image.layers.user_ranges import subordinate_ranges

    uids, gids = subordinate_ranges("/etc/subuid", user), subordinate_ranges("/etc/subgid", user)
    if not uids or not gids:
        uids, gids = [], []
    return Owners([(0, user, 1), *uids], [(0, os.getegid(), 1), *gids])


def release(directory: str) -> None:
    """Deletes the trees in a user's pod in which there are directories of other owners.

    The user may not; the user namespace may. ``directory`` is the pod's, which nothing runs in any more.
    """
    if os.geteuid() == 0:
        return
    trees = [tree for tree in (f"{directory}/overlay", f"{directory}/stage1") if _has_foreign(tree)]
    if not trees:
        return
    from carob.image.layers.hands import open_hands

    hands = open_hands()
    try:
        for tree in trees:
            hands.remove(tree)
    finally:
        hands.close()


def _has_foreign(tree: str) -> bool:
    user = os.geteuid()
    left = [tree]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                below = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue
        except PermissionError:
            # The kernel's own, in an overlay's work directory, are the user's and closed to all.
            continue
        if any(entry.stat(follow_symlinks=False).st_uid != user for entry in below):
            return True
        left += [entry.path for entry in below]
    return False
