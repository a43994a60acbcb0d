"""Telling what a path is that someone wants imported."""

from __future__ import annotations

import enum
import os
import stat

from carob.errors import InvalidInput, NotFound, Unsupported
from carob.image.compression import EVERY_COMPRESSION
from carob.image.import_oci import layout_file
from carob.image.import_rootfs import open_input
from carob.image.layer_stream import LayerStream
from carob.image.layout import INDEX_FILE, LAYOUT_FILE
from carob.image.tar_reader import TarReader
from carob.spec.reference import is_hex

_ENTRIES_LOOKED_AT = 1000


class ImportKind(enum.Enum):
    """What can be imported."""

    ROOTFS = "root file system"
    OCI_LAYOUT = "OCI image layout"


def import_kind(path: str) -> ImportKind:
    """Looks at a directory's files, or at the first members of a tar.

    A pipe is taken for the tar of a root file system, as it can be read only once.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise NotFound(f"there is no {path}") from error
    if stat.S_ISDIR(mode):
        is_layout = all(os.path.isfile(f"{path}/{name}") for name in (LAYOUT_FILE, INDEX_FILE))
        return ImportKind.OCI_LAYOUT if is_layout else ImportKind.ROOTFS
    if stat.S_ISFIFO(mode):
        return ImportKind.ROOTFS
    return _kind_of_tar(path)


def _kind_of_tar(path: str) -> ImportKind:
    fd = open_input(path)
    try:
        stream = LayerStream(fd, path, allowed=EVERY_COMPRESSION)
        is_docker = False
        for count, entry in enumerate(TarReader(stream.read, path)):
            if layout_file(entry.path):
                return ImportKind.OCI_LAYOUT
            name = entry.path.decode("utf-8", "replace").removeprefix("./").strip("/")
            if name in ("manifest.json", "repositories") or _is_docker_layer(name):
                is_docker = True
            elif name not in ("", ".", "blobs", "blobs/sha256") or count > _ENTRIES_LOOKED_AT:
                return ImportKind.ROOTFS
    finally:
        os.close(fd)
    if is_docker:
        raise Unsupported(
            f"{path} is an archive of 'docker save'",
            hint=f"convert it: skopeo copy docker-archive:{path} oci-archive:image.tar",
        )
    raise InvalidInput(f"{path} is neither a root file system nor an OCI image layout")


def _is_docker_layer(name: str) -> bool:
    first = name.partition("/")[0].removesuffix(".json").removesuffix(".tar")
    return len(first) == 64 and is_hex(first)
