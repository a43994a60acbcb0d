"""What some pods have other than usual of the kernel: namespaces of the host's, parameters of their own.

Init loads this where the plan asks for it, before it moves into its own root: paths are the host's.
"""

from __future__ import annotations

import os

from carob.linux import namespaces
from carob.linux.files import read_file
from carob.runtime import sysctls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def take_on(plan: dict[str, Any], pod: int) -> None:
    """Joins the host's namespaces, which are the monitor's, and sets the pod's ``sysctls``."""
    for kind in plan.get("host_namespaces", ()):
        monitor = int(read_file("ppid", dir_fd=pod))
        descriptor = os.open(f"/proc/{monitor}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespaces.join(descriptor)
        finally:
            os.close(descriptor)
    sysctls.write(plan.get("sysctls", {}))
