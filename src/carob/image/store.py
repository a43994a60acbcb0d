"""The image store: an OCI image layout at ``<dir>/images`` that skopeo, umoci and buildah read as it is.

A name is the annotation ``org.opencontainers.image.ref.name`` of an entry of ``index.json``, kept in normal
form: ``busybox`` is ``busybox:latest``. (Names with ``__`` or a leading ``_`` are carob's alone: skopeo does
not take them.) What only changes the store, or lists it, is loaded when it is used: ``resolve`` is on the
path of every start.
"""

from __future__ import annotations

import os

from carob.image.layout import Layout
from carob.image.resolve import find_image, load_image
from carob.spec.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from carob.image.resolved import ImageSummary, ResolvedImage
    from carob.spec.oci.descriptor import Descriptor

    Summaries = list[ImageSummary]
    Import = Callable[[], Descriptor]


class Store:
    """The images of the data directory ``directory``. Opening costs nothing and creates nothing."""

    __slots__ = ("directory", "layout")

    def __init__(self, directory: str) -> None:
        self.directory = os.path.abspath(directory)
        self.layout = Layout(self.directory + "/images")

    def resolve(self, name: str) -> ResolvedImage:
        """The image of a name (``busybox``, ``busybox:1.36``, ``example.org/app@sha256:...``), of an image
        id, or of a beginning of one (at least four digits, or any number after ``sha256:``). A name wins
        over an id that begins alike.

        ``NotFound`` with a hint; ``InvalidInput`` for what is no name, or where several ids begin so;
        ``CorruptData`` names the document that is not what it should be.
        """
        found, descriptor = find_image(self.layout, name)
        return load_image(self.layout, found, descriptor)

    def list(self) -> Summaries:
        """All images, sorted by their names; one that cannot be read is in it with its problem."""
        from carob.image.listing import list_images

        return list_images(self.layout)

    def remove(self, name_or_id: str, *, in_use: Collection[str] = ()) -> None:
        """Takes a name away, or all names of an image id; the bytes go with the next ``gc``.

        ``in_use`` are the image ids of pods, or the last chain ids of their trees: ``Conflict`` where the
        image would lose its last name and is among them.
        """
        from carob.image.removal import remove_image

        remove_image(self.layout, name_or_id, in_use)

    def tag(self, name_or_id: str, new_name: str) -> ResolvedImage:
        """Gives an image one more name; whatever had that name before loses it."""
        from carob.image.index_update import add_name

        target = self._new_name(new_name)
        _, descriptor = find_image(self.layout, name_or_id)
        add_name(self.layout, target, descriptor, must_be_there=True)
        return load_image(self.layout, target, descriptor)

    def import_rootfs(
        self, path: str, *, name: str, config: Mapping[str, Any] | None = None
    ) -> ResolvedImage:
        """Makes an image of one layer from a root file system: a directory, or a tar (plain, gzip, zstd, xz
        or bzip2; a pipe will do).

        ``config`` has keys of an image configuration's inner object (``Env``, ``Entrypoint``, ``Cmd``,
        ``User``, ``WorkingDir``, ``Labels`` ...) and goes over the defaults: a PATH, and ``Cmd``
        ``["/bin/sh"]`` where there is one. The same tree gives the same image id. An image of this name
        loses it.
        """
        from carob.image.import_rootfs import import_rootfs

        target = self._new_name(name)
        return self._imported(
            path, target, lambda: import_rootfs(self.layout, path, target, dict(config or {}))
        )

    def import_oci_layout(self, path: str, *, name: str, reference: str = "") -> ResolvedImage:
        """Takes an image from an OCI image layout: a directory, or a tar of one.

        ``reference`` picks by ``org.opencontainers.image.ref.name`` where there are several; of an image
        for several platforms, this host's is taken.
        """
        from carob.image.import_oci import import_oci

        target = self._new_name(name)
        return self._imported(path, target, lambda: import_oci(self.layout, path, target, reference))

    def import_path(self, path: str, *, name: str) -> ResolvedImage:
        """Imports whichever of the two ``path`` is."""
        from carob.image.import_kind import ImportKind, import_kind

        match import_kind(path):
            case ImportKind.ROOTFS:
                return self.import_rootfs(path, name=name)
            case ImportKind.OCI_LAYOUT:
                return self.import_oci_layout(path, name=name)

    def _imported(self, path: str, name: str, run: Import) -> ResolvedImage:
        from carob.image.failures import translate

        try:
            descriptor = run()
        except OSError as error:
            raise translate(error, f"importing {path}") from error
        return load_image(self.layout, name, descriptor)

    @staticmethod
    def _new_name(text: str) -> str:
        from carob.errors import InvalidInput

        reference = parse_reference(text)
        if reference.digest:
            raise InvalidInput(
                f"image name {text!r}: a digest cannot be given as a name", hint="use name:tag"
            )
        return str(reference)
