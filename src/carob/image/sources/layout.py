"""A source that is an OCI image layout: a directory, or a tar of one (image-spec, image-layout.md)."""

from __future__ import annotations

from typing import Any

from carob.errors import CorruptData, InvalidInput, NotFound, Unsupported
from carob.image.sources.files import Files, has_file, read_file
from carob.image.sources.source import BlobReader
from carob.image.store.layout import INDEX_FILE, LAYOUT_FILE
from carob.image.store.resolve import annotation_of, normal_name
from carob.spec.address import ImageAddress, image_number, shown
from carob.spec.oci.descriptor import REF_NAME, Descriptor, parse_descriptor
from carob.spec.oci.document import DOCUMENT_BYTES, INDEX_BYTES, list_field, parse_document, text_field
from carob.spec.oci.index import check_schema_version

CONTAINERD_NAME = "io.containerd.image.name"
"""The whole name, where ``org.opencontainers.image.ref.name`` is but the tag: docker and buildkit do so."""

_LAYOUT_VERSION = "1."


class LayoutSource:
    """One image of a layout. The address's reference picks it where there are several: by its annotated
    name, as it is or in normal form, or by ``@N``.
    """

    def __init__(self, files: Files, address: ImageAddress) -> None:
        self.address = address
        self.name = shown(address)
        self._files = files
        check_layout(files)
        self._entry = _choose(read_entries(files), files.what, address.reference)
        self.reference = entry_reference(self._entry)

    def root(self) -> tuple[Descriptor, bytes]:
        """See ``Source``."""
        descriptor = parse_descriptor(self._entry, f"{self._files.what}/{INDEX_FILE}")
        return descriptor, self.document(descriptor)

    def document(self, descriptor: Descriptor) -> bytes:
        """See ``Source``."""
        return read_file(self._files, _blob_name(descriptor), DOCUMENT_BYTES)

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """See ``Source``."""
        name = _blob_name(descriptor)
        size_bytes = self._files.size_bytes(name)
        if size_bytes != descriptor.size_bytes:
            raise CorruptData(
                f"{self._files.what}: blob {descriptor.digest} has {size_bytes} bytes instead of "
                f"{descriptor.size_bytes}"
            )
        return self._files.open(name, offset)

    def close(self) -> None:
        """See ``Source``."""
        self._files.close()


def check_layout(files: Files) -> None:
    """Raises ``InvalidInput`` for what is no layout, ``Unsupported`` for one of another version."""
    if not has_file(files, LAYOUT_FILE):
        raise InvalidInput(f"{files.what} is no OCI image layout: it has no file {LAYOUT_FILE!r}")
    what = f"{files.what}/{LAYOUT_FILE}"
    document = parse_document(read_file(files, LAYOUT_FILE, DOCUMENT_BYTES), what)
    version = text_field(document, "imageLayoutVersion", what)
    if not version.startswith(_LAYOUT_VERSION):
        raise Unsupported(f"{what}: image layout version {version[:20]!r}")


def read_entries(files: Files) -> list[Any]:
    """The entries of a layout's index, unchecked."""
    what = f"{files.what}/{INDEX_FILE}"
    try:
        data = read_file(files, INDEX_FILE, INDEX_BYTES)
    except NotFound:
        return []
    document = parse_document(data, what, limit=INDEX_BYTES)
    check_schema_version(document, what)
    return list_field(document, "manifests", what)


def entry_reference(entry: object) -> str:
    """The name an entry asks to be stored by, in normal form; ``""`` where it has none that is a name."""
    return normal_name(annotation_of(entry, CONTAINERD_NAME)) or normal_name(annotation_of(entry, REF_NAME))


def _choose(entries: list[Any], path: str, wanted: str) -> Any:
    """The one image, or the one of several that ``wanted`` names."""
    what = f"{path}/{INDEX_FILE}"
    if not entries:
        raise NotFound(f"{path} has no image")
    number = image_number(wanted)
    if number is not None:
        if number >= len(entries):
            raise NotFound(f"{path} has no image {wanted}", hint=f"it has {len(entries)}, from @0")
        return entries[number]
    matching = [entry for entry in entries if _is_named(entry, wanted)] if wanted else entries
    if len({parse_descriptor(entry, what).digest for entry in matching}) == 1:
        return matching[-1]
    names = ", ".join(sorted(repr(annotation_of(entry, REF_NAME)) for entry in entries)[:10])
    if not matching:
        raise NotFound(f"{path} has no image {wanted!r}", hint=f"it has: {names}")
    numbered = [f"{annotation_of(entry, REF_NAME)!r} @{entries.index(entry)}" for entry in matching[:10]]
    raise InvalidInput(
        f"{path} has {len(matching)} images",
        hint=f"say which by its reference, or its number: {', '.join(numbered)}",
    )


def _is_named(entry: object, wanted: str) -> bool:
    names = (annotation_of(entry, REF_NAME), annotation_of(entry, CONTAINERD_NAME))
    return wanted in names or wanted in (normal_name(name) for name in names if name)


def _blob_name(descriptor: Descriptor) -> str:
    return f"blobs/{descriptor.digest.replace(':', '/', 1)}"
