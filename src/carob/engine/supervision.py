"""How an engine starts supervisors, and whom it tells of the steps of a start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from carob.supervisor import launch

    Progress: TypeAlias = Callable[[str, str], object]

MADE = "made"
PREPARED = "prepared"
READY = "ready"
"""The steps that ``Progress`` is called with, each with the pod's uuid; called in the caller's thread."""


class Supervision:
    """The interpreter for supervisors, and what tests put before their program."""

    __slots__ = ("launcher", "python")

    def __init__(self, python: str | None = None, launcher: tuple[str, ...] = ()) -> None:
        self.python = python
        self.launcher = launcher

    def start(self, pod_path: str, *, network: str, runtime: str) -> launch.Monitor:
        """Starts a monitor for the pod at this path, which will run with this network and runtime."""
        from carob.supervisor import launch

        return launch.start(
            pod_path, network=network, runtime=runtime, python=self.python, launcher=self.launcher
        )


def silent(step: str, uuid: str) -> None:
    """The ``Progress`` of a caller that does not ask."""
