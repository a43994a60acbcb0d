"""A source that skopeo wrote with ``dir:``: a manifest, and each blob as a file named by its digest.

The format is of the tools that share containers/image; version 1.1 is read, and 1.0, which differs in names
that no digest is in.
"""

from __future__ import annotations

from carob.errors import CorruptData, Unsupported
from carob.image.sources.files import Files, has_file, read_file
from carob.image.sources.source import BlobReader
from carob.image.store.document_type import document_type
from carob.spec.address import ImageAddress, shown
from carob.spec.oci.config import sha256_hex
from carob.spec.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from carob.spec.oci.document import DOCUMENT_BYTES

MANIFEST_FILE = "manifest.json"
VERSION_FILE = "version"
_VERSION = b"Directory Transport Version: 1."


class DirectorySource:
    """The one image, or index, of such a directory. It has no name of its own."""

    reference = ""

    def __init__(self, files: Files, address: ImageAddress) -> None:
        self.address = address
        self.name = shown(address)
        self._files = files
        if not is_image_directory(files):
            raise Unsupported(f"{files.what}: not the format that skopeo writes with dir:")

    def root(self) -> tuple[Descriptor, bytes]:
        """See ``Source``."""
        data = read_file(self._files, MANIFEST_FILE, DOCUMENT_BYTES)
        media_type = document_type(data, f"{self._files.what}/{MANIFEST_FILE}")
        return Descriptor(media_type, "sha256:" + sha256_hex(data), len(data)), data

    def document(self, descriptor: Descriptor) -> bytes:
        """See ``Source``."""
        digits = descriptor.digest.partition(":")[2]
        is_manifest = descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES
        name = f"{digits}.{MANIFEST_FILE}" if is_manifest else digits
        return read_file(self._files, name, DOCUMENT_BYTES)

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """See ``Source``."""
        name = descriptor.digest.partition(":")[2]
        size_bytes = self._files.size_bytes(name)
        if size_bytes != descriptor.size_bytes:
            raise CorruptData(
                f"{self._files.what}/{name} has {size_bytes} bytes instead of {descriptor.size_bytes}"
            )
        return self._files.open(name, offset)

    def close(self) -> None:
        """See ``Source``."""
        self._files.close()


def is_image_directory(files: Files) -> bool:
    """Whether the files are of that format."""
    if not (has_file(files, MANIFEST_FILE) and has_file(files, VERSION_FILE)):
        return False
    return read_file(files, VERSION_FILE, DOCUMENT_BYTES).startswith(_VERSION)
