"""Owners of its own for a pod of root's, whose apps are in a user namespace that its init is not in."""

from __future__ import annotations

import os

from carob.engine.prepare import ranges
from carob.engine.prepare.owners import Owners
from carob.errors import Conflict, InvalidInput, Unsupported
from carob.protocol import plan as plans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.engine.request.pod import PodRequest
    from carob.linux.idmap import Mapping
    from carob.pod import Pod


class PodOwners(Owners):
    """Those of such a pod. ``allotted`` says that its range is held in ``ranges``, and to be given back."""

    __slots__ = ("allotted",)
    hold_init = False

    def __init__(self, document: dict[str, Any]) -> None:
        uids, gids = ([tuple(one) for one in document[kind]] for kind in ("uids", "gids"))
        super().__init__(uids, gids)
        self.allotted = bool(document.get("allotted"))

    def check(self, uid: int, gid: int, groups: Sequence[int], what: str) -> None:
        """Raises ``InvalidInput`` for who is not mapped, and so cannot be anybody in the pod."""
        try:
            super().check(uid, gid, groups, what)
        except InvalidInput as error:
            error.hint = "a larger one: --userns=auto:size=N, or more mappings; or another user: --user"
            raise

    def check_request(self, request: PodRequest) -> None:
        """Raises ``Unsupported`` for what is the host's alone to give."""
        for app in request.apps:
            if app.security is not None and app.security.devices:
                raise Unsupported(
                    "a pod with a user namespace of its own has no devices of the host",
                    hint="leave devices out, or userns",
                )

    def document(self) -> dict[str, Any]:
        """As they stand in a launch plan."""
        return super().document() | ({"allotted": True} if self.allotted else {})


def settle(request: PodRequest, pod: Pod, users: Owners | None) -> PodOwners:
    """The owners of a pod that is being prepared, and asks for a user namespace.

    Raises ``Unsupported`` for plain users (``users``), whose pods have theirs, ``OutOfResources`` where no
    range is left, and what ``ranges`` does.
    """
    wanted = request.user_namespace
    assert wanted is not None
    if users is not None:
        raise Unsupported(
            "your pods have a user namespace already, and another needs root",
            hint="leave userns and mappings out, or run the pod as root",
        )
    if not wanted.size:
        return PodOwners({"uids": wanted.uids, "gids": wanted.gids})
    first = ranges.of_this_host().claim(_data_dir(pod), str(pod.uuid), wanted.size)
    mapping = [(0, first, wanted.size)]
    return PodOwners({"uids": mapping, "gids": mapping, "allotted": True})


def of_plan(plan: dict[str, Any]) -> PodOwners | None:
    """Those that a pod was made with."""
    return PodOwners(plan["owners"]) if "owners" in plan else None


def of_running(pod: Pod, plan: dict[str, Any]) -> Mapping | None:
    """The same with the namespace of a running pod, open: its ``descriptor`` is the caller's to close.

    Raises ``Conflict`` where the pod does not run, and ``OSError``.
    """
    if "owners" not in plan:
        return None
    from carob.engine.observe.processes import init_pid
    from carob.linux.idmap import Mapping

    path = f"/proc/{init_pid(pod)}/root{plans.USER_NAMESPACE_AT}"
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return Mapping(descriptor, plan["owners"]["uids"], plan["owners"]["gids"])


def hold(pod: Pod, plan: dict[str, Any]) -> None:
    """Makes sure that a prepared pod has its range still: the machine may have been set up anew since.

    Raises ``Conflict`` where others have it by now.
    """
    owners = of_plan(plan)
    if owners is None or not owners.allotted:
        return
    ((_, first, count),) = owners.uids
    if not ranges.of_this_host().renew(_data_dir(pod), str(pod.uuid), first, count):
        raise Conflict(
            f"the owners {first} to {first + count - 1} of pod {pod.uuid} are another pod's by now",
            hint=f"prepare another: carob rm {pod.uuid}",
        )


def give_back(pod: Pod, plan: dict[str, Any]) -> None:
    """Lets others have the range of a pod that is being removed."""
    owners = of_plan(plan)
    if owners is not None and owners.allotted:
        ranges.of_this_host().release(_data_dir(pod), str(pod.uuid))


def _data_dir(pod: Pod) -> str:
    return pod.path().rsplit("/", 3)[0]
