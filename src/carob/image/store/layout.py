"""An OCI image layout on disk, as its readers see it (image-spec, image-layout.md).

::

    <layout>/oci-layout               {"imageLayoutVersion": "1.0.0"}
    <layout>/index.json               names; replaced as a whole under an exclusive flock of <layout>
    <layout>/blobs/sha256/<hex>       blobs; never changed once they have this name
    <layout>/.tmp/                    blobs being written, each flocked by its writer
    <layout>/.quarantine/             blobs that were found broken

Readers take no lock: the index is replaced by one rename, and a blob is there before an index names it.
"""

from __future__ import annotations

import os

from carob.errors import CorruptData, NotFound
from carob.linux.failure import failed
from carob.spec.oci.config import sha256_hex
from carob.spec.oci.document import DOCUMENT_BYTES, INDEX_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.spec.oci.descriptor import Descriptor

INDEX_FILE = "index.json"
LAYOUT_FILE = "oci-layout"
TEMPORARY = ".tmp"
QUARANTINE = ".quarantine"

_REGULAR_FILE = 0o100000
_FILE_TYPE = 0o170000


class Layout:
    """Reads one image layout at ``path``. Opening it costs nothing and finds out nothing."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def blob_path(self, digest: str) -> str:
        """Where the blob of a checked digest is, or would be."""
        algorithm, _, digits = digest.partition(":")
        return f"{self.path}/blobs/{algorithm}/{digits}"

    def read_index(self) -> bytes | None:
        """The bytes of ``index.json``, or ``None`` where there is no layout yet."""
        path = f"{self.path}/{INDEX_FILE}"
        try:
            fd = open_regular(path)
        except FileNotFoundError:
            return None
        return read_whole(fd, path, INDEX_BYTES)

    def open_blob(self, descriptor: Descriptor) -> int:
        """Opens a blob for reading: a descriptor, close-on-exec. Checks that it is a regular file of the
        size the descriptor says, not yet its digest.
        """
        path = self.blob_path(descriptor.digest)
        try:
            fd = open_regular(path)
        except FileNotFoundError as error:
            raise NotFound(
                f"blob {descriptor.digest} is not in {self.path}", hint="import or fetch the image again"
            ) from error
        size_bytes = os.fstat(fd).st_size
        if size_bytes != descriptor.size_bytes:
            os.close(fd)
            raise CorruptData(
                f"blob {descriptor.digest} has {size_bytes} bytes instead of {descriptor.size_bytes}",
                hint="import or fetch the image again",
            )
        return fd

    def read_document(self, descriptor: Descriptor) -> bytes:
        """The bytes of a manifest, index or configuration, checked against its digest."""
        if descriptor.size_bytes > DOCUMENT_BYTES:
            raise CorruptData(f"blob {descriptor.digest}: {descriptor.size_bytes} bytes are no document")
        data = read_whole(self.open_blob(descriptor), descriptor.digest, DOCUMENT_BYTES)
        if "sha256:" + sha256_hex(data) != descriptor.digest:
            raise CorruptData(
                f"blob {descriptor.digest} does not have its digest", hint="import or fetch the image again"
            )
        return data


def open_regular(path: str, *, dir_fd: int | None = None) -> int:
    """Opens a regular file for reading, without following a link at its end and without hanging on a
    fifo. ``FileNotFoundError`` is let through; anything else is ``CorruptData`` or what the failure means.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, dir_fd=dir_fd)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise failed(error, f"cannot read {path}") from error
    if os.fstat(fd).st_mode & _FILE_TYPE != _REGULAR_FILE:
        os.close(fd)
        raise CorruptData(f"{path}: not a regular file")
    return fd


def read_whole(fd: int, what: str, limit: int) -> bytes:
    """Reads a file to its end and closes it; ``CorruptData`` where it is longer than ``limit`` bytes."""
    try:
        chunks = []
        length = 0
        while chunk := os.read(fd, 1 << 20):
            length += len(chunk)
            if length > limit:
                raise CorruptData(f"{what}: larger than {limit} bytes")
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)
