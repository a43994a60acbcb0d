"""Removing a pod that was tied to a caller that died: done by a process of its own, in the monitor's place.

The monitor imports nothing that can remove a pod. It lets go of the lock and becomes the program that
``PodHandle.remove`` is; should that not start any more (its files are gone), the pod is left to gc.
"""

from __future__ import annotations

import os

from carob.supervisor.boot import package_root

_PROGRAM = (
    "import sys; sys.path.append({root!r}); from carob import Engine; "
    "Engine({data_dir!r}).handle({uuid!r}).remove()"
)


def command(run_path: str) -> list[str]:
    """The command that removes the pod which was at ``<data dir>/pods/run/<uuid>``."""
    pods, uuid = os.path.split(os.path.dirname(run_path))[0], os.path.basename(run_path)
    program = _PROGRAM.format(root=package_root(), data_dir=os.path.dirname(pods), uuid=uuid)
    return [os.readlink("/proc/self/exe"), "-I", "-S", "-c", program]


def become_remover(pod: int, argv: list[str]) -> None:
    """Lets go of the pod's lock and becomes ``argv``; returns only where that cannot be started."""
    os.close(pod)
    os.execve(argv[0], argv, {"LC_ALL": "C.UTF-8"})
