"""A pod's isolation and limits, settled before it is there: what its runtime and supervisor are told."""

from __future__ import annotations

import os

from carob.engine.failures import about
from carob.errors import CarobError, InvalidInput, NotFound
from carob.linux import cgroup
from carob.runtime import bundle
from carob.runtime.confinement import Confinement, usual

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.engine.prepare.owners import Owners
    from carob.engine.request.pod import App, PodRequest
    from carob.engine.request.resources import Resources

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
    beside the usual ones; ``sysctls`` by path; ``host_namespaces`` (``ipc``, ``uts``). What nobody asks for
    is not in it.
    """

    __slots__ = ("apps", "group", "maps_tty_group", "namespaces", "planned")

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

        A pod with ``owners`` of its own has no group (``""``), and so no limits.
        """
        if owners is not None:
            owners.check_request(request)
        if request.cgroup_parent:
            _check_parent(request.cgroup_parent)
        above = f"{request.cgroup_parent}/carob"
        self.group = f"{above}/{uuid}" if owners is None else ""
        self.namespaces = [name for name in bundle.NAMESPACES if name != "pid" or request.pid != "pod"]
        if request.ipc == "private":
            self.namespaces.append("ipc")
        self.maps_tty_group = owners is None or owners.maps_group(bundle.TTY_GROUP)
        self.planned: dict[str, Any] = {}
        more: set[str] = set()
        if request.resources is not None:
            self.planned["limits"] = _settled(request.resources, "the pod", above, more)
        self.apps: dict[str, AppIsolation] = {}
        for name, app in apps:
            limits = {} if app.resources is None else _section(request, name, app, above, more, runtime)
            self.apps[name] = AppIsolation(_confinement(request, name, app, runtime), limits)
        if more:
            self.planned["hierarchies"] = sorted(more)
        if request.sysctls:
            self.planned["sysctls"] = dict(request.sysctls)
        if of_host := [kind for kind in ("ipc", "uts") if getattr(request, kind) == "host"]:
            self.planned["host_namespaces"] = of_host


def _check_parent(group: str) -> None:
    """Raises ``NotFound`` for a group that is in no hierarchy: a slip would be made and stay for ever."""
    names = [name for name in cgroup.hierarchies() if cgroup.holds_pods(name)]
    if not any(os.path.isdir(cgroup.directory(name, group)) for name in names):
        raise NotFound(
            f"there is no control group {group}", hint="make it first, or name one from /proc/self/cgroup"
        )


def _confinement(request: PodRequest, name: str, app: App, runtime: str) -> Confinement:
    if app.security is None or not app.security.given():
        return usual(os.uname().machine)
    from carob.engine.prepare import confining

    try:
        found = confining.settle(app.security, runtime)
    except CarobError as error:
        raise about(f"app {name}", error) from error.__cause__
    if request.pid == "pod" and (reaching := [one for one in _REACH_OTHERS if one in found.bounding]):
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
