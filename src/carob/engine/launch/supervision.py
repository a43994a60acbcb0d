"""How an engine starts supervisors, some before they are wanted, and whom it tells of a start's steps."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from carob.engine.launch.standby import Standby
    from carob.supervisor import launch

    Progress: TypeAlias = Callable[[str, str], object]

MADE = "made"
PREPARED = "prepared"
READY = "ready"
"""The steps that ``Progress`` is called with, each with the pod's uuid; called in the caller's thread."""


class Supervision:
    """The interpreter for supervisors, and what tests put before their program.

    ``standby`` supervisors are kept ready from the first start on. Threads may share it.
    """

    __slots__ = ("_standing_by", "launcher", "python", "standby")

    def __init__(
        self, python: str | None = None, launcher: tuple[str, ...] = (), *, standby: int = 0
    ) -> None:
        self.python = python
        self.launcher = launcher
        self.standby = standby
        self._standing_by: list[Standby] = []

    def __reduce__(self) -> tuple[object, ...]:
        """In another process nothing stands by."""
        return Supervision, (self.python, self.launcher)

    def start(self, *, network: str, runtime: str, kind: str = "") -> launch.Monitor:
        """A monitor for a pod with this network and runtime: one that stands by, or a new one.

        None stands by for pods of a ``kind`` of their own (``carob.supervisor.boot``).
        """
        if kind:
            return self._launch(network, runtime, kind)
        while self._standing_by:
            try:
                found = self._standing_by.pop()
            except IndexError:  # another thread took it
                break
            if found.fits(network, runtime):
                found.monitor.soon()
                return found.monitor
            found.dismiss()
        return self._launch(network, runtime)

    def replenish(self, *, network: str, runtime: str, kind: str = "") -> None:
        """To be called when a pod was started: the next one will probably be of its kind."""
        if kind:
            return
        while len(self._standing_by) < self.standby:
            self.stand_by(network=network, runtime=runtime)

    def stand_by(self, *, network: str, runtime: str = "") -> None:
        """Starts a monitor ahead of its pod; without ``runtime`` (a path), for the one found first."""
        from carob.engine.launch.standby import Standby

        if not runtime:
            from carob.runtime import driver

            runtime = driver.find().path
        self._standing_by.append(Standby(network, runtime, lambda: self._launch(network, runtime)))

    def close(self) -> None:
        """Sends those that stand by away, and keeps none from now on."""
        self.standby = 0
        while self._standing_by:
            self._standing_by.pop().dismiss()

    def _launch(self, network: str, runtime: str, kind: str = "") -> launch.Monitor:
        from carob.engine.prepare.owners import owners_here
        from carob.supervisor import launch

        owners = owners_here()
        return launch.start(
            network=network,
            runtime=runtime,
            kind=kind,
            owners=("", "") if owners is None else owners.words,
            python=self.python,
            launcher=self.launcher,
        )


def silent(step: str, uuid: str) -> None:
    """The ``Progress`` of a caller that does not ask."""
