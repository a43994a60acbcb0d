"""The images of a data directory."""

from __future__ import annotations

import os

from carob.engine.failures import Attempt
from carob.engine.request import inputs
from carob.errors import InvalidInput, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Literal

    from carob.engine.request.pod import Pull
    from carob.image.cancel import Cancellation as Cancellation  # noqa: PLC0414 - shown by carob.aio
    from carob.image.fetch.fetch import Warn as Warn  # noqa: PLC0414 - shown by carob.aio
    from carob.image.fetch.progress import Callback as Callback  # noqa: PLC0414 - shown by carob.aio
    from carob.image.fetch.progress import LayerProgress as LayerProgress  # noqa: PLC0414 - shown by carob.cli
    from carob.image.layers.trees import Trees
    from carob.image.limits import ImageLimits
    from carob.image.registry.credentials import Credentials as Credentials  # noqa: PLC0414 - shown by carob.aio
    from carob.image.registry.push import BlobProgress as BlobProgress  # noqa: PLC0414 - shown by carob.cli
    from carob.image.registry.push import PushCallback as PushCallback  # noqa: PLC0414 - shown by carob.aio
    from carob.image.store.gc import Collected as Collected  # noqa: PLC0414 - shown by carob.aio
    from carob.image.store.inspection import HistoryEntry as HistoryEntry  # noqa: PLC0414 - shown by carob.aio
    from carob.image.store.resolved import ImageSummary as ImageSummary  # noqa: PLC0414 - shown by carob.aio
    from carob.image.store.resolved import ResolvedImage as ResolvedImage  # noqa: PLC0414 - shown by carob.aio
    from carob.image.store.usage import Usage as Usage  # noqa: PLC0414 - shown by carob.aio
    from carob.image.store.verify import Verified as Verified  # noqa: PLC0414 - shown by carob.aio

    ArchiveKind = Literal["oci-archive", "docker-archive"]


class Images:
    """The local image store: an OCI image layout that other tools can read. Shared by threads freely.

    ``limits`` are those of ``Engine``'s ``image_limits``; as an attribute, all of them, or ``None`` for the
    usual ones.
    """

    def __init__(self, data_dir: str, *, limits: Mapping[str, float] | None = None) -> None:
        self.data_dir = data_dir
        self.limits: ImageLimits | None = None
        if limits:
            from carob.image.limits import image_limits

            self.limits = image_limits(limits)

    def fetch(
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
        cancel: Cancellation | None = None,
        warn: Warn | None = None,
    ) -> ResolvedImage:
        """Takes in an image from elsewhere, and unpacks it; each layer once, whoever else fetches it.

        ``address`` is ``docker://HOST/NAME[:TAG][@DIGEST]``, ``oci:PATH[:REF]``, ``oci-archive:PATH[:REF]``,
        ``docker-archive:PATH[:REF]``, ``dir:PATH``, ``tar:PATH``, ``aci:PATH`` or URL, ``appc:NAME``, or a
        name: one with a domain is an image of that registry, one without is looked up in the store and
        among the aliases of registries.toml. ``pull`` says when the place is asked: ``new`` always, and
        only what changed is fetched; ``missing``; ``never``; ``always``. ``platform`` is
        ``os/arch[/variant]``; without it this host's is taken, or what there is. ``insecure``: some of
        ``image``, ``tls``, ``http``, ``pubkey``. ``credentials`` for the registry go before those in files
        (``carob.image.registry.credentials``). ``progress`` is called from other threads, one call at a
        time; ``warn`` with a line for each thing that is odd about the image. After ``cancel.cancel()``
        it raises ``Cancelled``; what was fetched by then, the next fetch need not fetch again.

        Raises ``NotFound``, ``PermissionDenied``, ``Rejected`` (a policy, a signature), ``CorruptData``,
        ``Unavailable``, ``TimedOut``, ``OutOfResources``, ``InvalidInput``.
        """
        from carob.engine.images import transfer

        with Attempt(f"image {address} cannot be fetched"):
            return transfer.fetch(
                self.data_dir,
                inputs.text(address, "an image's address"),
                transfer.Options(
                    limits=self.limits,
                    insecure=insecure,
                    credentials=credentials,
                    platform=inputs.text(platform, "a platform"),
                    progress=progress,
                    cancel=cancel,
                    warn=warn,
                ),
                name=inputs.text(name, "an image's name"),
                policy=pull,
                unpack=unpack,
            )

    def load(
        self,
        path: str | os.PathLike[str],
        *,
        insecure: str | Iterable[str] = "none",
        progress: Callback | None = None,
        cancel: Cancellation | None = None,
        warn: Warn | None = None,
    ) -> list[ResolvedImage]:
        """Takes in all images of an archive or layout, OCI's or of ``docker save``, under their own names.

        ``path`` may be a pipe: ``/dev/stdin``. The rest as for ``fetch``.
        """
        from carob.engine.images import transfer

        given = inputs.path(path, "the path of an archive")
        with Attempt(f"{given} cannot be loaded"):
            options = transfer.Options(
                limits=self.limits, insecure=insecure, progress=progress, cancel=cancel, warn=warn
            )
            return transfer.load(self.data_dir, given, options)

    def save(
        self,
        names: Sequence[str],
        target: str | os.PathLike[str] | int,
        *,
        format: ArchiveKind = "oci-archive",  # noqa: A002 - as podman and docker call it
    ) -> None:
        """Writes images as one archive, to a path (all or nothing) or an open file or pipe.

        ``docker-archive`` is what ``docker load`` reads.
        """
        from carob.image.archives.save import ArchiveFormat
        from carob.image.store.store import Store

        kinds = {kind.value: kind for kind in ArchiveFormat}
        kind = kinds.get(str(format))  # whatever it is
        if kind is None:
            raise InvalidInput(f"there is no archive format {format!r}", hint=f"one of {', '.join(kinds)}")
        given = target if isinstance(target, int) else inputs.path(target, "the path of an archive")
        with Attempt("the archive cannot be written"):
            Store(self.data_dir).save(inputs.words(names, "names", one="a name"), given, kind)

    def push(
        self,
        name: str,
        destination: str = "",
        *,
        insecure: str | Iterable[str] = "none",
        progress: PushCallback | None = None,
    ) -> str:
        """Sends an image to a registry, under its own name or ``docker://HOST/NAME[:TAG]``; what is there
        already is not sent. Returns ``HOST/NAME@DIGEST``. ``progress`` is told how far each blob is, and
        whether it was sent, or mounted from another repository, or there already.
        """
        from carob.engine.images import transfer

        with Attempt(f"image {name} cannot be pushed"):
            return transfer.push(
                self.data_dir,
                inputs.text(name, "an image's name"),
                inputs.text(destination, "a destination"),
                insecure=insecure,
                progress=progress,
                limits=self.limits,
            )

    def export(self, name: str, target: str | os.PathLike[str] | int) -> None:
        """Writes an image's file system as a tar, to a path (all or nothing) or an open file or pipe."""
        from carob.image.archives.export import export_image
        from carob.image.store.store import Store

        given = target if isinstance(target, int) else inputs.path(target, "the path of a tar")
        name = inputs.text(name, "an image's name")
        with Attempt(f"image {name} cannot be exported"):
            export_image(Store(self.data_dir), trees(self.data_dir, self.limits), name, given)

    def extract(self, name: str, target: str | os.PathLike[str], *, rootfs_only: bool = True) -> None:
        """Makes the directory ``target`` with an image's file system in it, all or nothing; or, not with
        ``rootfs_only``, with ``rootfs/``, ``manifest.json`` and ``config.json`` in it.
        """
        from carob.image.archives.export import extract_image
        from carob.image.store.store import Store

        given = inputs.path(target, "a directory")
        name = inputs.text(name, "an image's name")
        with Attempt(f"image {name} cannot be extracted"):
            extract_image(
                Store(self.data_dir),
                trees(self.data_dir, self.limits),
                name,
                given,
                rootfs_only=rootfs_only,
            )

    def tag(self, name_or_id: str, new_name: str) -> ResolvedImage:
        """Gives an image one more name; whatever had that name before loses it."""
        from carob.image.store.store import Store

        with Attempt(f"image {name_or_id} cannot be tagged"):
            return Store(self.data_dir).tag(
                inputs.text(name_or_id, "an image's name or id"), inputs.text(new_name, "an image's name")
            )

    def inspect(self, name: str) -> dict[str, Any]:
        """What there is to know of an image, as values that JSON has."""
        from carob.image.store.store import Store

        with Attempt(f"image {name} cannot be inspected"):
            return Store(self.data_dir).inspect(inputs.text(name, "an image's name"))

    def history(self, name: str) -> list[HistoryEntry]:
        """How an image was made, the first step first."""
        from carob.image.store.store import Store

        with Attempt(f"the history of image {name} cannot be read"):
            return Store(self.data_dir).history(inputs.text(name, "an image's name"))

    def cat_manifest(self, name: str) -> bytes:
        """An image's manifest, byte for byte: OCI's, or of an image that was an ACI, appc's."""
        from carob.image.aci.config import appc_manifest
        from carob.image.store.store import Store

        with Attempt(f"the manifest of image {name} cannot be read"):
            found = Store(self.data_dir).cat_manifest(inputs.text(name, "an image's name"))
            try:
                return appc_manifest(found, f"image {name}")
            except NotFound:
                return found

    def verify(self, *, quarantine: bool = True) -> Verified:
        """Reads all blobs and unpacked layers again. What is broken is put aside, and is fetched again with
        the next fetch of its image.
        """
        from carob.image.store.store import Store

        with Attempt("the images cannot be verified"):
            return Store(self.data_dir).verify(quarantine=quarantine)

    def usage(self) -> Usage:
        """What the images take on disk; what several share is counted once."""
        from carob.image.store.store import Store

        with Attempt("the images' disk use cannot be told"):
            return Store(self.data_dir).usage()

    def import_path(
        self,
        path: str | os.PathLike[str],
        *,
        name: str,
        insecure: str | Iterable[str] = "none",
        warn: Warn | None = None,
    ) -> ResolvedImage:
        """Takes in what is at ``path``, under ``name``: a root file system (directory or tar archive, also
        from a pipe), an OCI image layout or archive, one of ``docker save``, an ACI. Nothing is unpacked yet.

        Raises ``InvalidInput`` for a name or a file that is none, ``CorruptData`` for a damaged one,
        ``Rejected`` for what the policy does not let in.
        """
        from carob.engine.images import transfer

        given, name = inputs.path(path, "the path of an image"), inputs.text(name, "an image's name")
        with Attempt(f"image {name} cannot be taken in"):
            options = transfer.Options(limits=self.limits, insecure=insecure, warn=warn)
            return transfer.import_path(self.data_dir, given, options, name=name)

    def resolve(self, name: str) -> ResolvedImage:
        """The image of this name or id; ``NotFound`` with a hint where there is none."""
        from carob.image.store.store import Store

        name = inputs.text(name, "an image's name")
        with Attempt(f"image {name} cannot be looked up"):
            return Store(self.data_dir).resolve(name)

    def list(self) -> list[ImageSummary]:
        """All images."""
        from carob.image.store.store import Store

        with Attempt("the images cannot be listed"):
            return Store(self.data_dir).list()

    def remove(self, name_or_id: str) -> None:
        """Takes a name away, or an image with all its names. ``Conflict`` where a pod uses what would go."""
        name_or_id = inputs.text(name_or_id, "an image's name or id")
        with Attempt(f"image {name_or_id} cannot be removed"):
            from carob.engine.images.use import in_use
            from carob.image.store.store import Store

            Store(self.data_dir).remove(name_or_id, in_use=in_use(self.data_dir))

    def gc(self) -> Collected:
        """Deletes the blobs and layers that no name and no pod uses any more."""
        with Attempt("the images cannot be collected"):
            from carob.engine.images.use import in_use
            from carob.image.store.gc import gc

            return gc(self.data_dir, in_use=lambda: in_use(self.data_dir))


def trees(data_dir: str, limits: ImageLimits | None) -> Trees:
    """The unpacked layers of a data directory; those that are missing are unpacked within the limits."""
    from carob.image.layers.trees import Trees

    if limits is None:
        return Trees(data_dir)
    from carob.image.tar.limits import unpack_limits

    return Trees(data_dir, limits=unpack_limits(limits))


def can_be_unpacked(data_dir: str, image: ResolvedImage) -> bool:
    """Whether all layers of an image are unpacked, or there to be unpacked."""
    from carob.image.layers.trees import Trees
    from carob.image.store.layout import Layout

    layers, layout = Trees(data_dir), Layout(data_dir + "/images")
    return all(
        os.path.lexists(layers.layer_path(chain_id)) or os.path.lexists(layout.blob_path(blob.digest))
        for chain_id, blob in zip(image.chain_ids, image.layers, strict=True)
    )


def cancellation() -> Cancellation:
    """What cancels a fetch: give it to ``Images.fetch`` and call its ``cancel`` from anywhere."""
    from carob.image.cancel import Cancellation

    return Cancellation()
