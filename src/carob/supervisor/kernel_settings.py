"""What some pods have other than usual of the kernel: namespaces of the host's, parameters of their own.

Init loads this where the plan asks for it, before it moves into its own root: paths are the host's.
"""

from __future__ import annotations

import os
from errno import ENOENT

from carob.linux import namespaces
from carob.linux.files import read_file
from carob.runtime import sysctls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def take_on(plan: dict[str, Any], pod: int) -> None:
    """Joins the host's namespaces, which are the monitor's, and sets the pod's ``sysctls``.

    Init is among the host's processes from the start, but only here do the apps' orphans become its children.
    """
    for kind in plan.get("host_namespaces", ()):
        if kind == "pid":
            namespaces.set_child_subreaper()
            continue
        monitor = int(read_file("ppid", dir_fd=pod))
        descriptor = os.open(f"/proc/{monitor}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespaces.join(descriptor)
        finally:
            os.close(descriptor)
    wanted = plan.get("sysctls", {})
    try:
        sysctls.write(wanted, _root_of(plan))
    except OSError as error:
        why = "there is none of that name" if error.errno == ENOENT else error.strerror
        raise OSError(error.errno, f"{sysctls.shown(wanted, error.filename)}: {why}") from error


def _root_of(plan: dict[str, Any]) -> int | None:
    """Who is root in the user namespace of the pod, where that has one."""
    if "owners" not in plan:
        return None
    found: int = next(outside for inside, outside, _ in plan["owners"]["uids"] if inside == 0)
    return found
