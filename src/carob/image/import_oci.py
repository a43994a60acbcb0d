"""From an OCI image layout, a directory or a tar of one, to an image in the store."""

from __future__ import annotations

import os
from typing import Any

from carob.errors import CorruptData, InvalidInput, NotFound, Unsupported
from carob.image.blobs import HeldBlobs, create_layout, temporary_path
from carob.image.compression import EVERY_COMPRESSION
from carob.image.durable import write_all
from carob.image.import_rootfs import open_input
from carob.image.index_update import add_name
from carob.image.layer_stream import LayerStream
from carob.image.layout import INDEX_FILE, LAYOUT_FILE, Layout, open_regular, read_whole
from carob.image.locks import lock
from carob.image.resolve import entry_name, index_entries, load_image, manifest_for_host, read_manifest
from carob.image.rooted import remove_tree
from carob.image.tar_entry import EntryType
from carob.image.tar_reader import TarReader
from carob.spec.oci.descriptor import REF_NAME, Descriptor, parse_descriptor
from carob.spec.oci.document import DOCUMENT_BYTES, INDEX_BYTES, parse_document, text_field
from carob.spec.reference import is_hex

_PIECE_BYTES = 1 << 20
_LAYOUT_VERSION = "1."


def import_oci(layout: Layout, path: str, name: str, reference: str) -> Descriptor:
    """Stores the image for this host's platform under ``name``; returns its manifest's descriptor."""
    if os.path.isdir(path):
        return import_oci_directory(layout, path, name, reference)
    return _import_oci_tar(layout, path, name, reference)


def import_oci_directory(layout: Layout, path: str, name: str, reference: str) -> Descriptor:
    """The same for a directory. Every blob is hashed as it is copied."""
    source = Layout(path)
    _check_version(path)
    chosen = manifest_for_host(source, _choose(index_entries(source), path, reference))
    image = load_image(source, "", chosen)
    manifest = Descriptor(chosen.media_type, chosen.digest, chosen.size_bytes, platform=chosen.platform)
    with HeldBlobs(layout) as blobs:
        for descriptor in (*image.layers, read_manifest(source, chosen).config, manifest):
            _copy_blob(source, descriptor, blobs)
        blobs.flush()
        add_name(layout, name, manifest)
    return manifest


def _check_version(path: str) -> None:
    try:
        fd = open_regular(f"{path}/{LAYOUT_FILE}")
    except FileNotFoundError as error:
        raise InvalidInput(f"{path} is no OCI image layout: it has no file {LAYOUT_FILE!r}") from error
    what = f"{path}/{LAYOUT_FILE}"
    document = parse_document(read_whole(fd, what, DOCUMENT_BYTES), what)
    version = text_field(document, "imageLayoutVersion", what)
    if not version.startswith(_LAYOUT_VERSION):
        raise Unsupported(f"{what}: image layout version {version[:20]!r}")


def _choose(entries: list[Any], path: str, reference: str) -> Descriptor:
    """The one image, or the one of several that ``reference`` names (its annotation, as it is or in
    normal form).
    """
    what = f"{path}/{INDEX_FILE}"
    if not entries:
        raise NotFound(f"{path} has no image")
    if reference:
        matching = [entry for entry in entries if reference in (_annotated(entry), entry_name(entry))]
    else:
        matching = entries
    if len({parse_descriptor(entry, what).digest for entry in matching}) == 1:
        return parse_descriptor(matching[-1], what)
    names = ", ".join(sorted(repr(_annotated(entry)) for entry in entries)[:10])
    if not matching:
        raise NotFound(f"{path} has no image {reference!r}", hint=f"it has: {names}")
    raise InvalidInput(f"{path} has {len(matching)} images", hint=f"say which by its reference: {names}")


def _annotated(entry: object) -> str:
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    name = annotations.get(REF_NAME) if isinstance(annotations, dict) else None
    return name if isinstance(name, str) else ""


def _copy_blob(source: Layout, descriptor: Descriptor, blobs: HeldBlobs) -> None:
    fd = source.open_blob(descriptor)
    try:
        with blobs.new() as writer:
            while piece := os.read(fd, _PIECE_BYTES):
                writer.write(piece)
                if writer.size_bytes > descriptor.size_bytes:
                    break
            writer.commit(digest=descriptor.digest)
    finally:
        os.close(fd)


def _import_oci_tar(layout: Layout, path: str, name: str, reference: str) -> Descriptor:
    """Unpacks the files of a layout, and nothing else, beside the store and imports from there."""
    create_layout(layout)
    fd = open_input(path)
    try:
        workplace = temporary_path(layout, "archive")
        os.mkdir(workplace, 0o700)
        held = lock(workplace, exclusive=False)
        try:
            _unpack_layout(fd, path, workplace)
            return import_oci_directory(layout, workplace, name, reference)
        finally:
            remove_tree(workplace)
            if held is not None:
                held.close()
    finally:
        os.close(fd)


def _unpack_layout(fd: int, path: str, workplace: str) -> None:
    os.makedirs(f"{workplace}/blobs/sha256")
    stream = LayerStream(fd, path, allowed=EVERY_COMPRESSION)
    reader = TarReader(stream.read, path)
    for entry in reader:
        target = layout_file(entry.path)
        if not target or entry.type is EntryType.DIRECTORY:
            continue
        if entry.type is not EntryType.FILE or entry.extents is not None:
            raise CorruptData(f"{path}: {target} is not a plain file")
        if not target.startswith("blobs/") and entry.size_bytes > INDEX_BYTES:
            raise CorruptData(f"{path}: {target} is larger than {INDEX_BYTES} bytes")
        with open(f"{workplace}/{target}", "wb", buffering=0) as file:
            for piece in reader.data():
                write_all(file.fileno(), piece)


def layout_file(raw: bytes) -> str:
    """The path, inside a layout, of a tar member that belongs to one; ``""`` for all others."""
    text = raw.decode("ascii", "replace").removeprefix("./")
    digits = text.removeprefix("blobs/sha256/")
    if text in (INDEX_FILE, LAYOUT_FILE) or (digits != text and len(digits) == 64 and is_hex(digits)):
        return text
    return ""
