"""Where an image comes from: what every way in offers to the one pipeline that takes images in.

A source knows one image, or one index of images for several platforms. It hands out bytes and promises
nothing about them: whoever takes them checks digests and sizes (``carob.image.fetch.fetch``). All methods
may be called from several threads at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.spec.address import ImageAddress
    from carob.spec.oci.descriptor import Descriptor


class BlobReader(Protocol):
    """A blob's bytes as they come. ``offset`` is where the first of them stands in the blob: 0 where a source
    cannot begin elsewhere, whatever was asked for.
    """

    offset: int

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; ``b""`` only at the end of the blob."""

    def close(self) -> None:
        """Lets go of it; may be called at any time, also from another thread, and then ``read`` fails."""


class Source(Protocol):
    """One image, or an index of images, somewhere else.

    The methods raise ``NotFound``, ``Unavailable``, ``PermissionDenied``, ``Rejected``, ``CorruptData``,
    ``TimedOut``, each with a hint.
    """

    @property
    def address(self) -> ImageAddress:
        """What was opened, which a policy goes by: of several images in one archive, this one."""

    @property
    def name(self) -> str:
        """For messages, without any secret: ``docker://example.org/app:1``, ``oci-archive:/tmp/a.tar``."""

    @property
    def reference(self) -> str:
        """The name under which the image is stored by default, in normal form; ``""`` for none."""

    def root(self) -> tuple[Descriptor, bytes]:
        """The topmost document, a manifest or an index, and its exact bytes."""

    def document(self, descriptor: Descriptor) -> bytes:
        """A document below the topmost, a manifest or an image configuration: at most ``DOCUMENT_BYTES``."""

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """Begins to read a layer, from ``offset`` on where the source can."""

    def close(self) -> None:
        """Lets go of connections, files and temporary directories. May be called at any time, from any thread
        and again; what is under way fails then.
        """


@runtime_checkable
class Headed(Protocol):
    """What a source offers as well that can tell what there is without getting it."""

    def head(self) -> Descriptor:
        """The topmost document's descriptor: its digest is what the place says, and nobody checked it."""


@runtime_checkable
class Mirrored(Protocol):
    """What a source offers as well that may get a blob at one of several places."""

    def has_mirrors(self) -> bool:
        """Whether there still is more than one place."""

    def distrust(self, descriptor: Descriptor) -> bool:
        """To be told when a blob's bytes were wrong: the mirrors that gave any of them are asked no more.

        Whether there were such; then it is worth while to read the blob again.
        """


@runtime_checkable
class Converted(Protocol):
    """What a source offers as well that makes an OCI image out of one of another kind."""

    @property
    def left_out(self) -> Sequence[str]:
        """What the image asks for that the one that was made does not, by its keys."""
