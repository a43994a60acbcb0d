"""Telling what a path is that someone wants imported."""

from __future__ import annotations

import os
import stat

from carob.errors import NotFound
from carob.image.archives.input import open_input
from carob.image.compression import EVERY_COMPRESSION
from carob.image.failures import translate
from carob.image.layers.stream import LayerStream
from carob.image.store.layout import INDEX_FILE, LAYOUT_FILE
from carob.image.tar.reader import TarReader
from carob.spec.address import ACI, DIRECTORY, DOCKER_ARCHIVE, OCI, OCI_ARCHIVE, TAR, ImageAddress
from carob.spec.reference import is_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.spec.address import Transport

_ENTRIES_LOOKED_AT = 1000
_DOCKER_FILES = frozenset(("manifest.json", "repositories"))


def address_of_path(path: str) -> ImageAddress:
    """Looks at a directory's files, or at the first members of a tar.

    A pipe is taken for the tar of a root file system, as it can be read only once: what it is shows then.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise NotFound(f"there is no {path}") from error
    except OSError as error:
        raise translate(error, path) from error
    if stat.S_ISDIR(mode):
        is_layout = all(os.path.isfile(f"{path}/{name}") for name in (LAYOUT_FILE, INDEX_FILE))
        return ImageAddress(OCI if is_layout else DIRECTORY, path)
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return ImageAddress(TAR, path)
    return ImageAddress(_transport_of_tar(path), path)


def _transport_of_tar(path: str) -> Transport:
    fd = open_input(path)
    names = MemberNames()
    try:
        stream = LayerStream(fd, path, allowed=EVERY_COMPRESSION)
        for count, entry in enumerate(TarReader(stream.read, path)):
            names.note(entry.path)
            if names.is_decided:
                break
            if count > _ENTRIES_LOOKED_AT:
                return TAR
    finally:
        os.close(fd)
    return names.transport


class MemberNames:
    """What the names of a tar's members, one after the other, tell of what it is.

    ``transport`` is ``OCI_ARCHIVE``, ``DOCKER_ARCHIVE``, ``ACI`` or ``TAR``, by those that were noted so far.
    """

    def __init__(self) -> None:
        self.is_decided = False
        self.transport: Transport = TAR
        self._seen: set[str] = set()

    def note(self, path: bytes) -> None:
        """The next member."""
        if self.is_decided:
            return
        name = path.decode("utf-8", "replace").removeprefix("./").strip("/")
        self._seen.add(name.partition("/")[0])
        if name in (LAYOUT_FILE, INDEX_FILE):
            self._decide(OCI_ARCHIVE)
        elif self._seen == {"manifest", "rootfs"}:
            self._decide(ACI)
        elif not _may_be_image(name):
            self._decide(TAR)
        elif name in _DOCKER_FILES:
            self.transport = DOCKER_ARCHIVE

    def _decide(self, transport: Transport) -> None:
        self.transport = transport
        self.is_decided = True


def _may_be_image(name: str) -> bool:
    """Whether a member of this name may be part of an archive of images, and not of a root file system."""
    if name in ("", ".", "blobs", "blobs/sha256", "manifest", "rootfs") or name in _DOCKER_FILES:
        return True
    parts = name.split("/")
    if parts[:2] == ["blobs", "sha256"]:
        parts = parts[2:]
    first = parts[0].removesuffix(".json").removesuffix(".tar")
    return len(first) == 64 and is_hex(first)
