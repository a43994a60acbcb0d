"""The images of a data directory, as coroutines."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from typing import Any

    from carob.aio.steps import Steps
    from carob.engine.images.collection import (
        ArchiveKind,
        Callback,
        Collected,
        Credentials,
        HistoryEntry,
        ImageSummary,
        PushCallback,
        ResolvedImage,
        Usage,
        Verified,
        Warn,
    )
    from carob.engine.images.collection import Images as BlockingImages
    from carob.engine.request.pod import Pull


class Images:
    """``carob.Engine.images`` for an event loop. Cancelled calls are carried through, but for ``fetch`` and
    ``load``.
    """

    def __init__(self, blocking: BlockingImages, steps: Steps) -> None:
        self._blocking = blocking
        self._steps = steps

    async def fetch(
        self,
        address: str,
        *,
        name: str = "",
        pull: Pull = "new",
        platform: str = "",
        insecure: str | Iterable[str] = "none",
        credentials: Credentials | None = None,
        unpack: bool = True,
        progress: Callback | None = None,
        warn: Warn | None = None,
    ) -> ResolvedImage:
        """Takes in an image from elsewhere; see ``carob.Engine.images.fetch``.

        ``progress`` and ``warn`` are called from other threads. A cancelled call stops the fetch; what it had
        by then, the next one need not fetch again.
        """
        from carob.engine.images.collection import cancellation

        cancel = cancellation()

        def step() -> ResolvedImage:
            return self._blocking.fetch(
                address,
                name=name,
                pull=pull,
                platform=platform,
                insecure=insecure,
                credentials=credentials,
                unpack=unpack,
                progress=progress,
                cancel=cancel,
                warn=warn,
            )

        return await self._steps.run_stoppable(step, cancel.cancel)

    async def load(
        self,
        path: str | os.PathLike[str],
        *,
        insecure: str | Iterable[str] = "none",
        progress: Callback | None = None,
        warn: Warn | None = None,
    ) -> list[ResolvedImage]:
        """Takes in all images of an archive or layout, OCI's or of ``docker save``, under their own names.

        A cancelled call stops it; the rest as for ``fetch``.
        """
        from carob.engine.images.collection import cancellation

        cancel = cancellation()

        def step() -> list[ResolvedImage]:
            return self._blocking.load(path, insecure=insecure, progress=progress, cancel=cancel, warn=warn)

        return await self._steps.run_stoppable(step, cancel.cancel)

    async def save(
        self,
        names: Sequence[str],
        target: str | os.PathLike[str] | int,
        *,
        format: ArchiveKind = "oci-archive",  # noqa: A002 - as podman and docker call it
    ) -> None:
        """Writes images as one archive, to a path (all or nothing) or an open file or pipe."""
        await self._steps.run(self._blocking.save, names, target, format=format)

    async def push(
        self,
        name: str,
        destination: str = "",
        *,
        insecure: str | Iterable[str] = "none",
        progress: PushCallback | None = None,
    ) -> str:
        """Sends an image to a registry; see ``carob.Engine.images.push``."""
        return await self._steps.run(
            self._blocking.push, name, destination, insecure=insecure, progress=progress
        )

    async def export(self, name: str, target: str | os.PathLike[str] | int) -> None:
        """Writes an image's file system as a tar, to a path (all or nothing) or an open file or pipe."""
        await self._steps.run(self._blocking.export, name, target)

    async def extract(self, name: str, target: str | os.PathLike[str], *, rootfs_only: bool = True) -> None:
        """Makes the directory ``target`` with an image's file system in it; see ``carob.Engine.images``."""
        await self._steps.run(self._blocking.extract, name, target, rootfs_only=rootfs_only)

    async def tag(self, name_or_id: str, new_name: str) -> ResolvedImage:
        """Gives an image one more name; whatever had that name before loses it."""
        return await self._steps.run(self._blocking.tag, name_or_id, new_name)

    async def inspect(self, name: str) -> dict[str, Any]:
        """What there is to know of an image, as values that JSON has."""
        return await self._steps.run(self._blocking.inspect, name)

    async def history(self, name: str) -> list[HistoryEntry]:
        """How an image was made, the first step first."""
        return await self._steps.run(self._blocking.history, name)

    async def cat_manifest(self, name: str) -> bytes:
        """An image's manifest, byte for byte."""
        return await self._steps.run(self._blocking.cat_manifest, name)

    async def verify(self, *, quarantine: bool = True) -> Verified:
        """Reads all blobs and unpacked layers again; what is broken is put aside."""
        return await self._steps.run(self._blocking.verify, quarantine=quarantine)

    async def usage(self) -> Usage:
        """What the images take on disk; what several share is counted once."""
        return await self._steps.run(self._blocking.usage)

    async def import_path(
        self,
        path: str | os.PathLike[str],
        *,
        name: str,
        insecure: str | Iterable[str] = "none",
        warn: Warn | None = None,
    ) -> ResolvedImage:
        """Takes in what is at ``path``, under ``name``; see ``carob.Engine.images.import_path``."""
        return await self._steps.run(
            self._blocking.import_path, path, name=name, insecure=insecure, warn=warn
        )

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
