"""The named volumes of a data directory, as coroutines."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping

    from carob.aio.steps import Steps
    from carob.engine.volumes.collection import Volumes as BlockingVolumes
    from carob.engine.volumes.collection import VolumesCollected, VolumeSummary


class Volumes:
    """``carob.Engine.volumes`` for an event loop. Cancelled calls are carried through."""

    def __init__(self, blocking: BlockingVolumes, steps: Steps) -> None:
        self._blocking = blocking
        self._steps = steps

    async def create(self, name: str, *, labels: Mapping[str, str] | None = None) -> VolumeSummary:
        """Makes a volume; see ``carob.engine.volumes.collection.Volumes.create``."""
        return await self._steps.run(lambda: self._blocking.create(name, labels=labels))

    async def get(self, name: str) -> VolumeSummary:
        """One volume."""
        return await self._steps.run(lambda: self._blocking.get(name))

    async def remove(self, name: str) -> None:
        """Removes a volume that no pod uses; see ``carob.engine.volumes.collection.Volumes.remove``."""
        await self._steps.run(lambda: self._blocking.remove(name))

    async def gc(self, *, unused: bool = False, labels: Mapping[str, str] | None = None) -> VolumesCollected:
        """Removes what killed processes left, or also unused volumes; see ``Volumes.gc`` there."""
        return await self._steps.run(lambda: self._blocking.gc(unused=unused, labels=labels))

    async def list(self) -> builtins.list[VolumeSummary]:
        """All volumes, by name."""
        return await self._steps.run(self._blocking.list)
