"""From a root file system, a directory or a tar of one, to an image of one layer.

The layer is stored as it is best had: a directory and a plain, xz or bzip2 tar uncompressed, a gzip or zstd
tar as it came. Uncompressed because gzip writes 130 MB/s where SHA-256 and the disk take a gigabyte, and
because digest and diff id are then one, so that unpacking hashes once and inflates nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from carob.errors import CorruptData, InvalidInput
from carob.image.archives.input import open_input
from carob.image.archives.pipe import packed
from carob.image.compression import EVERY_COMPRESSION, Compression
from carob.image.files.metadata import check_xattrs
from carob.image.files.pack import pack_directory
from carob.image.files.paths import WHITEOUT, clean_path
from carob.image.layers.stream import LAYER_COMPRESSIONS, LayerStream
from carob.image.store.blobs import BlobWriter, HeldBlobs
from carob.image.store.index import add_name
from carob.image.store.layout import Layout
from carob.image.tar.entry import DEVICES, Entry
from carob.image.tar.reader import TarReader
from carob.spec.oci.config import check_config, rootfs_config
from carob.spec.oci.descriptor import (
    CONFIG,
    LAYER,
    LAYER_GZIP,
    LAYER_ZSTD,
    MANIFEST,
    Descriptor,
    platform_of_machine,
)
from carob.spec.oci.document import encode_document
from carob.spec.oci.manifest import Manifest

_MEDIA_TYPES = {Compression.GZIP: LAYER_GZIP, Compression.ZSTD: LAYER_ZSTD}
_SHELLS = frozenset((b"bin/sh", b"usr/bin/sh"))


class _Contents:
    """What the entries of a root file system tell about it."""

    def __init__(self) -> None:
        self.newest_ns = 0
        self.count = 0
        self.has_shell = False

    def note(self, entry: Entry) -> None:
        self.count += 1
        self.newest_ns = max(self.newest_ns, entry.mtime_ns)
        if entry.path.removeprefix(b"./").lstrip(b"/") in _SHELLS:
            self.has_shell = True


def import_rootfs(layout: Layout, path: str, name: str, overrides: Mapping[str, Any]) -> Descriptor:
    """Stores the image, gives it ``name`` (in normal form) and returns its manifest's descriptor."""
    store = _store_directory if os.path.isdir(path) else _store_tar
    return _import(layout, name, path, overrides, lambda writer, contents: store(path, writer, contents))


def import_layers(
    layout: Layout, layers: Sequence[str], name: str, overrides: Mapping[str, Any]
) -> Descriptor:
    """The same for what overlayfs would show of ``layers``, directories, top first."""

    def store(writer: BlobWriter, contents: _Contents) -> tuple[str, str]:
        with packed(layers) as pipe:
            return _store_stream(pipe, name, writer, contents)

    return _import(layout, name, name, overrides, store)


def _import(
    layout: Layout,
    name: str,
    what: str,
    overrides: Mapping[str, Any],
    store_layer: Callable[[BlobWriter, _Contents], tuple[str, str]],
) -> Descriptor:
    """Stores an image of the layer that ``store_layer`` writes; that returns its diff id and media type."""
    contents = _Contents()
    with HeldBlobs(layout) as blobs:
        with blobs.new() as writer:
            diff_id, media_type = store_layer(writer, contents)
            layer = Descriptor(media_type, writer.commit(), writer.size_bytes)
        config = _config(contents, diff_id, what, overrides)
        descriptor = store_image(blobs, config, (layer,))
        blobs.flush()
        add_name(layout, name, descriptor)
    return descriptor


def store_image(blobs: HeldBlobs, config: dict[str, Any], layers: tuple[Descriptor, ...]) -> Descriptor:
    """Stores configuration and manifest of layers that are stored already."""
    encoded = encode_document(config)
    manifest = Manifest(Descriptor(CONFIG, blobs.put(encoded), len(encoded)), layers)
    encoded = encode_document(manifest.document())
    return Descriptor(MANIFEST, blobs.put(encoded), len(encoded))


def _store_directory(path: str, writer: BlobWriter, contents: _Contents) -> tuple[str, str]:
    pack_directory(path, writer.write, contents.note)
    return writer.digest, LAYER


def _store_tar(path: str, writer: BlobWriter, contents: _Contents) -> tuple[str, str]:
    fd = open_input(path)
    try:
        return _store_stream(fd, path, writer, contents)
    finally:
        os.close(fd)


def _store_stream(fd: int, what: str, writer: BlobWriter, contents: _Contents) -> tuple[str, str]:
    """Stores a tar and reads it through meanwhile; the diff id and the layer's media type."""
    stream = LayerStream(fd, what, allowed=EVERY_COMPRESSION)
    is_kept = stream.compression in LAYER_COMPRESSIONS
    if is_kept:
        stream.copy_raw_to(writer.write)
    else:
        stream.copy_plain_to(writer.write)
    for entry in TarReader(stream.read, what):
        _check_member(entry, what)
        contents.note(entry)
    stream.drain()
    if not contents.count:
        raise InvalidInput(f"{what} is no root file system: there is nothing in the tar")
    return stream.diff_id, _MEDIA_TYPES.get(stream.compression, LAYER)


def _check_member(entry: Entry, path: str) -> None:
    """What unpacking would refuse is refused now, and what a layer cannot say."""
    what = f"{path}, entry {entry.path[:200].decode('utf-8', 'backslashreplace')!r}"
    check_xattrs(entry, what)
    cleaned = clean_path(entry.path, what)
    if cleaned.rpartition(b"/")[2].startswith(WHITEOUT):
        raise InvalidInput(f"{what}: in a layer such a name would mean a deleted file")
    if entry.type in DEVICES and (entry.device_major, entry.device_minor) == (0, 0):
        raise InvalidInput(f"{what}: a device 0/0 is overlayfs's mark of a deleted file")


def _config(contents: _Contents, diff_id: str, path: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration: as new as the newest file, so that the same tree makes the same image."""
    platform = platform_of_machine(os.uname().machine)
    created_s = min(max(contents.newest_ns, 0), time.time_ns()) // 1_000_000_000
    config = rootfs_config(
        architecture=platform.architecture,
        variant=platform.variant,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created_s)),
        created_by="carob image import",
        layer_diff_id=diff_id,
        command=["/bin/sh"] if contents.has_shell else [],
        overrides=overrides,
    )
    try:
        check_config(config, f"the configuration for {path}")
    except CorruptData as error:
        raise InvalidInput(error.message, hint="it has the keys of an OCI image's 'config'") from error
    return config
