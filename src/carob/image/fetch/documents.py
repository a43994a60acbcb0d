"""From a source to the documents of one image: chosen for a platform, checked, and in the store.

A document that is in the store already is not asked for again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from carob.errors import CorruptData, NotFound, Unsupported
from carob.image.cancel import Cancellation
from carob.image.fetch.download import receive
from carob.image.sources.files import BytesReader
from carob.image.sources.source import Source
from carob.image.store.blobs import HeldBlobs
from carob.image.store.document_type import checked_type
from carob.image.store.media_types import check_is_image, in_oci_terms
from carob.image.store.platforms import choose_manifest
from carob.image.store.resolve import INDEX_DEPTH
from carob.spec.oci.config import diff_ids, parse_config, sha256_hex
from carob.spec.oci.descriptor import (
    DOCKER_MANIFEST,
    INDEX_TYPES,
    MANIFEST,
    MANIFEST_TYPES,
    Descriptor,
    Platform,
)
from carob.spec.oci.document import DOCUMENT_BYTES, encode_document
from carob.spec.oci.index import parse_index
from carob.spec.oci.manifest import Manifest, parse_manifest


class ManifestDocument:
    """The manifest of the image that was chosen: what the source has of it.

    ``root`` is the topmost document's descriptor, an index's or ``descriptor`` itself; ``data`` are the
    manifest's exact bytes, ``root_data`` the topmost document's: asked again, a source may send another.
    """

    __slots__ = ("data", "descriptor", "manifest", "root", "root_data")

    def __init__(
        self, root: Descriptor, root_data: bytes, descriptor: Descriptor, data: bytes, manifest: Manifest
    ) -> None:
        self.root = root
        self.root_data = root_data
        self.descriptor = descriptor
        self.data = data
        self.manifest = manifest


def read_manifest_document(
    source: Source, platform: Platform, blobs: HeldBlobs, cancel: Cancellation
) -> ManifestDocument:
    """Asks for the topmost document and goes down to the manifest for ``platform``. Stores nothing."""
    root, data = source.root()
    descriptor, root_data = root, data
    _check(root, data, source.name)
    for _ in range(INDEX_DEPTH):
        cancel.check()
        what = f"{source.name}, {descriptor.digest}"
        if descriptor.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            raise Unsupported(f"{what} is {descriptor.media_type[:100]!r}, not an image")
        media_type = checked_type(descriptor.media_type, data, what)
        if media_type in MANIFEST_TYPES:
            manifest = parse_manifest(data, what)
            check_is_image(manifest, what)
            actual = Descriptor(
                media_type, descriptor.digest, descriptor.size_bytes, platform=descriptor.platform
            )
            return ManifestDocument(root, root_data, actual, data, manifest)
        descriptor = choose_manifest(parse_index(data, what), platform, what)
        data = _document(source, descriptor, blobs)
    raise CorruptData(f"{source.name}, {root.digest}: indexes in indexes, more than {INDEX_DEPTH} deep")


def fetch_config(
    source: Source, manifest: Manifest, blobs: HeldBlobs, cancel: Cancellation
) -> dict[str, Any]:
    """The checked configuration of an image, which is in the store then: as a layer, it is asked for by one
    of those who fetch it at the same time.
    """
    what = f"{source.name}, image config {manifest.config.digest}"
    _check_length(source, manifest.config)
    data = _stored(blobs, manifest.config, lambda: _asked_for(source, manifest.config), cancel)
    config = parse_config(data, what)
    count = len(diff_ids(config, what))
    if count != len(manifest.layers):
        raise CorruptData(f"{what}: {len(manifest.layers)} layers but {count} diff ids")
    return config


def store_manifest(blobs: HeldBlobs, found: ManifestDocument, cancel: Cancellation) -> Descriptor:
    """Stores the manifest; its descriptor as it is stored, an OCI one.

    Of an image in Docker's terms both manifests are stored: the one that the source has is what digests pin.
    """
    _stored(blobs, found.descriptor, lambda: found.data, cancel)
    if found.descriptor.media_type != DOCKER_MANIFEST:
        return found.descriptor
    data = encode_document(in_oci_terms(found.manifest).document())
    converted = Descriptor(
        MANIFEST, "sha256:" + sha256_hex(data), len(data), platform=found.descriptor.platform
    )
    _stored(blobs, converted, lambda: data, cancel)
    return converted


def _document(source: Source, descriptor: Descriptor, blobs: HeldBlobs) -> bytes:
    _check_length(source, descriptor)
    try:
        return blobs.layout.read_document(descriptor)
    except (NotFound, CorruptData):
        return _asked_for(source, descriptor)


def _asked_for(source: Source, descriptor: Descriptor) -> bytes:
    data = source.document(descriptor)
    _check(descriptor, data, source.name)
    return data


def _check_length(source: Source, descriptor: Descriptor) -> None:
    if descriptor.size_bytes > DOCUMENT_BYTES:
        raise CorruptData(
            f"{source.name}, {descriptor.digest}: {descriptor.size_bytes} bytes are no document",
            hint=f"at most {DOCUMENT_BYTES} are read",
        )


def _check(descriptor: Descriptor, data: bytes, name: str) -> None:
    if len(data) != descriptor.size_bytes:
        raise CorruptData(
            f"{name}, {descriptor.digest}: {len(data)} bytes instead of {descriptor.size_bytes}"
        )
    actual = "sha256:" + sha256_hex(data)
    if actual != descriptor.digest:
        raise CorruptData(f"{name}, {descriptor.digest}: its digest is {actual}")


def _stored(
    blobs: HeldBlobs, descriptor: Descriptor, get: Callable[[], bytes], cancel: Cancellation
) -> bytes:
    """A document that is in the store and held there; one that is there but is not what its name says is
    replaced.
    """
    is_broken = False
    if blobs.hold_present(descriptor):
        try:
            return blobs.layout.read_document(descriptor)
        except CorruptData:
            is_broken = True
    receive(blobs, descriptor, lambda offset: BytesReader(get(), offset), cancel=cancel, replace=is_broken)
    return blobs.layout.read_document(descriptor)
