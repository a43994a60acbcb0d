"""A pod's isolation and limits, settled before it is there: what its runtime and supervisor are told."""

from __future__ import annotations

import os

from carob.engine.failures import about
from carob.errors import CarobError, InvalidInput, NotFound
from carob.linux import cgroup
from carob.linux.limits import hierarchy_of
from carob.protocol import plan as plans
from carob.runtime import bundle
from carob.runtime.confinement import Confinement, usual

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.engine.prepare.owners import Owners
    from carob.engine.request.pod import App, PodRequest
    from carob.engine.request.resources import Resources

PIDS = 2048
"""Processes and threads of an app that asks for no limit of its own: one that forks without end would take
all numbers that the machine has. podman's figure.
"""
# Whoever has one of these can reach into any process that it sees, init among them.
_REACH_OTHERS = ("CAP_SYS_PTRACE", "CAP_SYS_ADMIN")


class AppIsolation:
    """One app's: its ``confinement``, and ``resources``, keys of ``linux.resources``."""

    __slots__ = ("confinement", "resources")

    def __init__(self, confinement: Confinement, resources: dict[str, Any]) -> None:
        self.confinement = confinement
        self.resources = resources


class Isolation:
    """A pod's: that of its ``apps`` by name, the ``group`` that it is in, and the ``namespaces`` of each app.

    ``planned`` goes into the launch plan: ``limits`` of the whole pod, settled; ``hierarchies`` that it needs
    beside the usual ones; ``sysctls`` by path; ``host_namespaces`` (``pid``, ``ipc``, ``uts``); ``owners``.
    What nobody asks for is not in it.
    """

    __slots__ = ("apps", "group", "maps_tty_group", "namespaces", "own_mounts", "owners", "planned", "shares")

    def __init__(
        self,
        request: PodRequest,
        apps: Sequence[tuple[str, App]],
        *,
        uuid: str,
        runtime: str,
        owners: Owners | None,
    ) -> None:
        """Raises what ``confining`` and ``limiting`` beside this do; ``apps`` are (name, app).

        A user's pod has a group where one is delegated to the user; else none (``""``), and so no limits.
        """
        if owners is not None:
            owners.check_request(request)
        if request.cgroup_parent:
            _check_parent(request.cgroup_parent)
        self.planned: dict[str, Any] = {}
        parent = request.cgroup_parent
        delegated = None
        if owners is not None and owners.hold_init:
            from carob.engine.prepare import delegating

            delegated = delegating.place(request)
            parent = "" if delegated is None else delegated.group
        if request.cgroups == "split":
            from carob.engine.prepare import unit

            parent, self.planned["unit"] = unit.take_place()
        above = f"{parent}/carob"
        has_group = owners is None or not owners.hold_init or delegated is not None
        self.group = f"{above}/{uuid}" if has_group else ""
        self.namespaces = [name for name in bundle.NAMESPACES if name != "pid" or request.pid == "private"]
        if request.ipc == "private":
            self.namespaces.append("ipc")
        self.owners = None
        if owners is not None and not owners.hold_init:
            self.owners = owners
            self.planned["owners"] = owners.document()
            self.namespaces.append(f"user={plans.USER_NAMESPACE_AT}")
        self.shares = {
            "shares_processes": request.pid == "pod",
            "shares_network": request.network_kind == "host",
        }
        self.maps_tty_group = owners is None or owners.maps_group(bundle.TTY_GROUP)
        self.own_mounts = request.isolation != "none"
        more: set[str] = set()
        if request.resources is not None:
            self.planned["limits"] = _settled(request.resources, "the pod", above, more)
        self.apps: dict[str, AppIsolation] = {}
        has_pids = bool(self.group) and hierarchy_of("pids") is not None
        if delegated is not None:
            has_pids = delegated.controls("pids")
        default = {"pids": {"limit": PIDS}} if has_pids else {}
        for name, app in apps:
            limits = {} if app.resources is None else _section(request, name, app, above, more, runtime)
            found = _confinement(request, name, app, runtime, reaches_init=self.owners is None)
            if self.owners is not None:
                found.nodes = ()  # those of a privileged app: nobody in the pod could open them
            self.apps[name] = AppIsolation(found, default | limits)
        if more or delegated is not None:
            self.planned["hierarchies"] = sorted(more) if delegated is None else delegated.hierarchies
        if request.sysctls:
            self.planned["sysctls"] = dict(request.sysctls)
        if of_host := [kind for kind in ("pid", "ipc", "uts") if getattr(request, kind) == "host"]:
            self.planned["host_namespaces"] = of_host


def _check_parent(group: str) -> None:
    """Raises ``NotFound`` for a group that is in no hierarchy: a slip would be made and stay for ever."""
    names = [name for name in cgroup.hierarchies() if cgroup.holds_pods(name)]
    if not any(os.path.isdir(cgroup.directory(name, group)) for name in names):
        raise NotFound(
            f"there is no control group {group}", hint="make it first, or name one from /proc/self/cgroup"
        )


def _confinement(
    request: PodRequest, name: str, app: App, runtime: str, *, reaches_init: bool
) -> Confinement:
    if request.isolation == "none":
        from carob.engine.prepare import bare

        return bare.confinement(app.security, runtime)
    if app.security is None or not app.security.given():
        return usual(os.uname().machine)
    from carob.engine.prepare import confining

    try:
        found = confining.settle(app.security, runtime)
    except CarobError as error:
        raise about(f"app {name}", error) from error.__cause__
    # In a user namespace that init is not in they reach nobody but the pod's apps.
    reaching = [one for one in _REACH_OTHERS if one in found.bounding]
    if request.pid == "pod" and reaches_init and reaching:
        raise InvalidInput(
            f"app {name} with {reaching[0]} cannot share the pod's processes: it could enter the pod's init",
            hint="leave out the capability, or pid=pod",
        )
    return found


def _settled(
    resources: Resources, of_whom: str, above: str, more: set[str], runtime: str = ""
) -> dict[str, Any]:
    """What is asked as it can be had; ``more`` gets the hierarchies that it takes."""
    from carob.engine.prepare import limiting
    from carob.linux import limits

    settled = limiting.settle(resources, of_whom, above=above, runtime=runtime)
    more.update(limits.hierarchies(settled))
    return settled


def _section(
    request: PodRequest, name: str, app: App, above: str, more: set[str], runtime: str
) -> dict[str, Any]:
    from carob.engine.request.resources import check_within
    from carob.runtime.resources import section

    assert app.resources is not None
    if request.resources is not None:
        check_within(name, app.resources, request.resources)
    return section(_settled(app.resources, f"app {name}", above, more, runtime))
