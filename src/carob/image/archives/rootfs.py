"""From a root file system, a directory or a tar of one, to an image of one layer.

The layer is stored as it is best had: a directory and a plain, xz or bzip2 tar uncompressed, a gzip or zstd
tar as it came. Uncompressed because gzip writes 130 MB/s where SHA-256 and the disk take a gigabyte, and
because digest and diff id are then one, so that unpacking hashes once and inflates nothing.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from carob.errors import CorruptData, InvalidInput
from carob.image.archives.input import cancellable_input
from carob.image.archives.kind import MemberNames
from carob.image.archives.pipe import packed
from carob.image.cancel import Cancellation
from carob.image.compression import EVERY_COMPRESSION, Compression
from carob.image.files.merged import Owners
from carob.image.files.metadata import check_xattrs
from carob.image.files.pack import pack_directory
from carob.image.files.paths import WHITEOUT, clean_path
from carob.image.layers.stream import LAYER_COMPRESSIONS, LayerStream
from carob.image.layers.trees import Trees
from carob.image.limits import ImageLimits, limit_hint
from carob.image.store.blobs import BlobWriter, HeldBlobs
from carob.image.store.index import add_name
from carob.image.store.layout import Layout
from carob.image.store.platforms import host_platform
from carob.image.store.resolve import load_image
from carob.image.tar.entry import DEVICES, Entry
from carob.image.tar.limits import LIMITS, UnpackLimits, unpack_limits
from carob.image.tar.reader import TarReader
from carob.spec.address import TAR
from carob.spec.oci.config import check_config, rootfs_config
from carob.spec.oci.descriptor import (
    CONFIG,
    LAYER,
    LAYER_GZIP,
    LAYER_ZSTD,
    MANIFEST,
    Descriptor,
    Platform,
)
from carob.spec.oci.document import encode_document
from carob.spec.oci.manifest import Manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.compression import Reader

_MEDIA_TYPES = {Compression.GZIP: LAYER_GZIP, Compression.ZSTD: LAYER_ZSTD}
_SHELLS = frozenset((b"bin/sh", b"usr/bin/sh"))


class _Contents:
    """What the entries of a root file system tell about it."""

    def __init__(self) -> None:
        self.newest_ns = 0
        self.count = 0
        self.has_shell = False
        self.names = MemberNames()

    def note(self, entry: Entry) -> None:
        self.count += 1
        self.newest_ns = max(self.newest_ns, entry.mtime_ns)
        if entry.path.removeprefix(b"./").lstrip(b"/") in _SHELLS:
            self.has_shell = True
        self.names.note(entry.path)


def import_rootfs(
    layout: Layout,
    path: str,
    name: str,
    overrides: Mapping[str, Any],
    *,
    platform: Platform | None = None,
    limits: ImageLimits | None = None,
    trees: Trees | None = None,
    cancel: Cancellation | None = None,
) -> Descriptor:
    """Stores the image, unpacks it into ``trees``, if there are some, gives it ``name`` (in normal form) and
    returns its manifest's descriptor.
    """
    cancel = cancel or Cancellation()
    if platform is not None and platform.os != "linux":
        raise InvalidInput(f"{path}: a root file system for {platform.os}", hint="those for linux are taken")

    def store(writer: BlobWriter, contents: _Contents) -> tuple[str, str]:
        if os.path.isdir(path):
            return _store_directory(path, writer, contents, unpack_limits(limits), cancel)
        return _store_tar(path, writer, contents, unpack_limits(limits), cancel)

    return _import(layout, name, path, overrides, store, platform, trees)


def import_layers(
    layout: Layout,
    layers: Sequence[str],
    name: str,
    overrides: Mapping[str, Any],
    owners: Owners | None = None,
) -> Descriptor:
    """The same for what overlayfs would show of ``layers``, directories, top first."""

    def store(writer: BlobWriter, contents: _Contents) -> tuple[str, str]:
        with packed(layers, owners) as pipe:
            return _store_stream(pipe, name, writer, contents, LIMITS)

    return _import(layout, name, name, overrides, store)


def _import(
    layout: Layout,
    name: str,
    what: str,
    overrides: Mapping[str, Any],
    store_layer: Callable[[BlobWriter, _Contents], tuple[str, str]],
    platform: Platform | None = None,
    trees: Trees | None = None,
) -> Descriptor:
    """Stores an image of the layer that ``store_layer`` writes; that returns its diff id and media type."""
    contents = _Contents()
    with HeldBlobs(layout) as blobs:
        with blobs.new() as writer:
            diff_id, media_type = store_layer(writer, contents)
            layer = Descriptor(media_type, writer.commit(), writer.size_bytes)
        config = _config(contents, diff_id, what, overrides, platform or host_platform())
        descriptor = store_image(blobs, config, (layer,))
        blobs.flush()
        with ExitStack() as stack:
            if trees is not None:
                stack.enter_context(trees.hold(load_image(layout, name, descriptor)))
            add_name(layout, name, descriptor)
    return descriptor


def store_image(blobs: HeldBlobs, config: dict[str, Any], layers: tuple[Descriptor, ...]) -> Descriptor:
    """Stores configuration and manifest of layers that are stored already."""
    encoded = encode_document(config)
    manifest = Manifest(Descriptor(CONFIG, blobs.put(encoded), len(encoded)), layers)
    encoded = encode_document(manifest.document())
    return Descriptor(MANIFEST, blobs.put(encoded), len(encoded))


def _store_directory(
    path: str, writer: BlobWriter, contents: _Contents, limits: UnpackLimits, cancel: Cancellation
) -> tuple[str, str]:
    taken_bytes = 0

    def note(entry: Entry) -> None:
        """Told before the file is read: one that is nothing but a hole would take as long as any."""
        nonlocal taken_bytes
        taken_bytes += entry.size_bytes
        if taken_bytes > limits.layer_bytes:
            raise InvalidInput(
                f"{path}: its files have more than {limits.layer_bytes} bytes",
                hint=limit_hint(limits.bytes_setting),
            )
        contents.note(entry)

    def write(data: bytes) -> None:
        cancel.check()
        writer.write(data)

    pack_directory(path, write, note)
    return writer.digest, LAYER


def _store_tar(
    path: str, writer: BlobWriter, contents: _Contents, limits: UnpackLimits, cancel: Cancellation
) -> tuple[str, str]:
    with cancellable_input(path, cancel) as (fd, read):
        is_pipe = not stat.S_ISREG(os.fstat(fd).st_mode)
        stored = _store_stream(read, path, writer, contents, limits)
    if is_pipe and contents.names.transport != TAR:  # nobody could look at it before
        raise InvalidInput(
            f"{path} is no root file system, but of the kind {contents.names.transport}",
            hint="carob image load reads archives of images from a pipe, carob fetch aci:FILE takes ACIs",
        )
    return stored


def _store_stream(
    source: int | Reader, what: str, writer: BlobWriter, contents: _Contents, limits: UnpackLimits
) -> tuple[str, str]:
    """Stores a tar and reads it through meanwhile; the diff id and the layer's media type."""
    stream = LayerStream(source, what, allowed=EVERY_COMPRESSION, limits=limits)
    is_kept = stream.compression in LAYER_COMPRESSIONS
    if is_kept:
        stream.copy_raw_to(writer.write)
    else:
        stream.copy_plain_to(writer.write)
    for entry in TarReader(stream.read, what, limits=limits):
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


def _config(
    contents: _Contents, diff_id: str, path: str, overrides: Mapping[str, Any], platform: Platform
) -> dict[str, Any]:
    """The configuration: as new as the newest file, so that the same tree makes the same image."""
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
