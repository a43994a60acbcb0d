"""The images of a data directory, as coroutines."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from carob.aio.steps import Steps
    from carob.engine.images import Collected, ImageSummary, ResolvedImage
    from carob.engine.images import Images as BlockingImages


class Images:
    """``carob.Engine.images`` for an event loop. Cancelled calls are carried through."""

    def __init__(self, blocking: BlockingImages, steps: Steps) -> None:
        self._blocking = blocking
        self._steps = steps

    async def import_path(self, path: str | os.PathLike[str], *, name: str) -> ResolvedImage:
        """Takes in a root file system (directory or tar archive) or an OCI image layout, under ``name``.

        Raises ``InvalidInput`` for a name or a file that is none, ``CorruptData`` for a damaged one.
        """
        return await self._steps.run(self._blocking.import_path, path, name=name)

    async def resolve(self, name: str) -> ResolvedImage:
        """The image of this name or id; ``NotFound`` with a hint where there is none."""
        return await self._steps.run(self._blocking.resolve, name)

    async def list(self) -> list[ImageSummary]:
        """All images."""
        return await self._steps.run(self._blocking.list)

    async def remove(self, name_or_id: str) -> None:
        """Takes a name away, or an image with all its names. ``Conflict`` where a pod uses what would go."""
        await self._steps.run(self._blocking.remove, name_or_id)

    async def gc(self) -> Collected:
        """Deletes the blobs and layers that no name and no pod uses any more."""
        return await self._steps.run(self._blocking.gc)
