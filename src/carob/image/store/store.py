"""The image store: an OCI image layout at ``<dir>/images`` that skopeo, umoci and buildah read as it is.

A name is the annotation ``org.opencontainers.image.ref.name`` of an entry of ``index.json``, kept in normal
form: ``busybox`` is ``busybox:latest``. (Names with ``__`` or a leading ``_`` are carob's alone: skopeo does
not take them.) What only changes the store, or lists it, is loaded when it is used: ``resolve`` is on the
path of every start. How images get in from elsewhere is ``carob.image.fetch.fetch``'s affair.
"""

from __future__ import annotations

import os

from carob.image.store.layout import Layout
from carob.image.store.resolve import find_image, load_image
from carob.spec.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from carob.image.archives.save import ArchiveFormat
    from carob.image.cancel import Cancellation
    from carob.image.fetch.pull import FetchOptions
    from carob.image.layers.trees import Trees
    from carob.image.limits import ImageLimits
    from carob.image.store.inspection import HistoryEntry
    from carob.image.store.resolved import ImageSummary, ResolvedImage
    from carob.image.store.usage import Usage
    from carob.image.store.verify import Verified
    from carob.spec.address import ImageAddress
    from carob.spec.oci.descriptor import Platform

    Summaries = list[ImageSummary]
    History = list[HistoryEntry]


class Store:
    """The images of the data directory ``directory``. Opening costs nothing and creates nothing."""

    __slots__ = ("directory", "layout")

    def __init__(self, directory: str) -> None:
        self.directory = os.path.abspath(directory)
        self.layout = Layout(self.directory + "/images")

    def resolve(self, name: str) -> ResolvedImage:
        """The image of a name (``busybox``, ``busybox:1.36``, ``example.org/app@sha256:...``), of an image
        id, or of a beginning of one, of at least four digits. A name wins over an id that begins alike. A
        digest after ``@`` is the image id, or that of the index or manifest it was fetched by.

        ``NotFound`` with a hint; ``InvalidInput`` for what is no name, or where several ids begin so;
        ``CorruptData`` names the document that is not what it should be.
        """
        found, descriptor = find_image(self.layout, name)
        return load_image(self.layout, found, descriptor)

    def list(self) -> Summaries:
        """All images, sorted by their names; one that cannot be read is in it with its problem."""
        from carob.image.store.listing import list_images

        return list_images(self.layout)

    def remove(self, name_or_id: str, *, in_use: Collection[str] = ()) -> None:
        """Takes a name away, or all names of an image id; the bytes go with the next ``gc``.

        ``in_use`` are the image ids of pods, or the last chain ids of their trees: ``Conflict`` where the
        image would lose its last name and is among them.
        """
        from carob.image.store.removal import remove_image

        remove_image(self.layout, name_or_id, in_use)

    def tag(self, name_or_id: str, new_name: str) -> ResolvedImage:
        """Gives an image one more name; whatever had that name before loses it."""
        from carob.image.store.index import add_name

        target = new_image_name(new_name)
        _, descriptor = find_image(self.layout, name_or_id)
        add_name(self.layout, target, descriptor, must_be_there=True)
        return load_image(self.layout, target, descriptor)

    def import_rootfs(
        self,
        path: str,
        *,
        name: str,
        config: Mapping[str, Any] | None = None,
        platform: Platform | None = None,
        limits: ImageLimits | None = None,
        trees: Trees | None = None,
        cancel: Cancellation | None = None,
    ) -> ResolvedImage:
        """Makes an image of one layer from a root file system: a directory, or a tar (plain, gzip, zstd, xz
        or bzip2; a pipe will do).

        ``config`` has keys of an image configuration's inner object (``Env``, ``Entrypoint``, ``Cmd``,
        ``User``, ``WorkingDir``, ``Labels`` ...) and goes over the defaults: a PATH, and ``Cmd``
        ``["/bin/sh"]`` where there is one. ``platform`` is what it is for, by default this host's. The
        same tree gives the same image id. An image of this name loses it. With ``trees`` it is unpacked
        first: what cannot be has no name then.
        """
        from carob.image.archives.rootfs import import_rootfs
        from carob.image.failures import translate

        target = new_image_name(name)
        try:
            descriptor = import_rootfs(
                self.layout,
                path,
                target,
                dict(config or {}),
                platform=platform,
                limits=limits,
                trees=trees,
                cancel=cancel,
            )
        except OSError as error:
            raise translate(error, f"importing {path}") from error
        return load_image(self.layout, target, descriptor)

    def import_oci_layout(self, path: str, *, name: str, reference: str = "") -> ResolvedImage:
        """Takes an image from an OCI image layout: a directory, or a tar of one.

        ``reference`` picks by ``org.opencontainers.image.ref.name`` where there are several; of an image
        for several platforms, this host's is taken.
        """
        from carob.spec.address import OCI, OCI_ARCHIVE, ImageAddress

        transport = OCI if os.path.isdir(path) else OCI_ARCHIVE
        return self._take(ImageAddress(transport, path, reference), name)

    def import_path(self, path: str, *, name: str, options: FetchOptions | None = None) -> ResolvedImage:
        """Takes in whatever ``path`` is: a root file system, an OCI image layout, an archive of ``docker
        save``, a directory that skopeo wrote, or, where the options' remotes know those, an ACI. Nothing is
        unpacked yet.
        """
        from carob.image.archives.kind import address_of_path

        return self._take(address_of_path(path), name, options)

    def save(self, names: Sequence[str], target: str | int, kind: ArchiveFormat) -> None:
        """Writes images as one archive that other tools load: to a path, all or nothing, or to an open file
        or pipe.
        """
        from carob.image.archives.save import save_images

        save_images(self.layout, names, target, kind)

    def cat_manifest(self, name: str) -> bytes:
        """The exact bytes of an image's manifest, as it is in the store."""
        return self.layout.read_document(find_image(self.layout, name)[1])

    def inspect(self, name: str) -> dict[str, Any]:
        """All that is known of an image, as values that JSON has."""
        from carob.image.store.inspection import inspect_image

        return inspect_image(self.directory, self.layout, name)

    def history(self, name: str) -> History:
        """How an image was made, the first step first."""
        from carob.image.store.inspection import image_history

        return image_history(self.resolve(name))

    def usage(self) -> Usage:
        """How much disk the store takes, what is shared counted once."""
        from carob.image.store.usage import disk_usage

        return disk_usage(self.directory)

    def verify(self, *, quarantine: bool = True) -> Verified:
        """Reads everything again; see ``carob.image.store.verify``."""
        from carob.image.store.verify import verify_store

        return verify_store(self.directory, quarantine=quarantine)

    def _take(self, address: ImageAddress, name: str, options: FetchOptions | None = None) -> ResolvedImage:
        from carob.image.fetch.pull import take_in

        return take_in(self, None, address, name=name, options=options)


def new_image_name(text: str) -> str:
    """The normal form of a name that is to be given to an image."""
    reference = parse_reference(text)
    if reference.digest:
        from carob.errors import InvalidInput

        raise InvalidInput(f"image name {text!r}: a digest cannot be given as a name", hint="use name:tag")
    return str(reference)
