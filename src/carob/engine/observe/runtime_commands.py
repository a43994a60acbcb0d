"""The command lines that a pod's init runs the OCI runtime with, told from its launch plan: for debugging."""

from __future__ import annotations

from carob.linux.files import read_file
from carob.pod import open_pod
from carob.protocol import plan as plans
from carob.runtime import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def runtime_commands(data_dir: str, uuid: str) -> list[list[str]]:
    """One command line for each app, in the order they are run; paths are those of init's own root.

    Raises ``NotFound`` where there is no such pod; a pod without a plan has none.
    """
    with open_pod(data_dir, uuid) as pod:
        try:
            plan = plans.read(read_file(plans.PLAN, dir_fd=pod.fd()))
        except (OSError, ValueError):
            return []
    path = str(plan["runtime"]["path"])
    found = []
    for app in plan["apps"]:
        bundle = f"{plans.POD_AT}/{plans.bundle_directory(app['name'])}"
        argv = command.run(
            plan["runtime"]["name"],
            app=app["name"],
            bundle=bundle,
            pid_file=f"/run/{app['name']}.pid",
            log=f"{bundle}/runtime.log",
            cgroups=bool(plan["cgroup"]),
        )
        found.append([path, *argv[1:]])
    return found


def shown(argv: Sequence[str]) -> str:
    """A command line as a shell takes it."""
    from shlex import join

    return join(argv)
