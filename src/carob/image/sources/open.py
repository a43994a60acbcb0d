"""From an address to a source."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from carob.errors import InvalidInput, Unsupported
from carob.image.cancel import Cancellation
from carob.image.limits import ImageLimits
from carob.image.sources.directory import DirectorySource, is_image_directory
from carob.image.sources.docker_archive import MANIFEST_FILE, DockerArchiveSource, read_items
from carob.image.sources.files import DirectoryFiles, Files, has_file
from carob.image.sources.layout import LayoutSource, read_entries
from carob.image.sources.source import Source
from carob.image.sources.tar_files import ArchiveFiles
from carob.image.store.layout import LAYOUT_FILE
from carob.spec import address as addresses
from carob.spec.address import ImageAddress, shown
from carob.spec.reference import Reference, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.spec.address import Transport

Opened = TypeVar("Opened")


class Remotes:
    """How images elsewhere are reached: set up by who knows the configuration.

    - ``registry``: opens an image of a registry.
    - ``appc``: opens an appc image, of a file, a URL or a name (``ACI`` and ``APPC`` addresses).
    """

    __slots__ = ("appc", "registry")

    def __init__(
        self,
        *,
        registry: Callable[[Reference], Source] | None = None,
        appc: Callable[[ImageAddress], Source] | None = None,
    ) -> None:
        self.registry = registry
        self.appc = appc


def open_source(
    address: ImageAddress,
    *,
    workplace: str,
    remotes: Remotes | None = None,
    cancel: Cancellation | None = None,
    limits: ImageLimits | None = None,
) -> Source:
    """Opens what an address names.

    ``workplace`` is a directory with room for an archive that has to be decompressed first; ``cancel`` ends
    that. ``InvalidInput`` for a bare name, which names nothing outside the store, and for a root file
    system, which is not an image yet (``is_rootfs``); ``NotFound``, ``CorruptData``, ``Unsupported`` as the
    source finds.
    """
    remotes = remotes or Remotes()
    text, path = shown(address), address.location
    match address.transport:
        case addresses.DOCKER:
            if remotes.registry is None:
                raise Unsupported(f"{text}: no registry can be reached from here")
            return remotes.registry(parse_reference(path))
        case addresses.ACI | addresses.APPC:
            if remotes.appc is None:
                raise Unsupported(f"{text}: no appc image is read here", hint=f"carob fetch {text}")
            return remotes.appc(address)
        case addresses.OCI:
            return _opened(DirectoryFiles(path), lambda files: LayoutSource(files, address))
        case addresses.OCI_ARCHIVE:
            files: Files = ArchiveFiles(path, workplace=workplace, cancel=cancel, limits=limits)
            return _opened(files, lambda files: LayoutSource(files, address))
        case addresses.DOCKER_ARCHIVE:
            files = ArchiveFiles(path, workplace=workplace, cancel=cancel, limits=limits)
            return _opened(files, lambda files: DockerArchiveSource(files, address))
        case addresses.DIRECTORY:
            return _opened(DirectoryFiles(path), lambda files: DirectorySource(files, address))
        case addresses.TAR:
            raise InvalidInput(f"{text} is a root file system, not an image", hint="import it")
        case _:
            raise InvalidInput(f"{text!r} is a name, not a place", hint="docker://HOST/NAME, oci:PATH ...")


def open_all(
    address: ImageAddress,
    *,
    workplace: str,
    cancel: Cancellation | None = None,
    limits: ImageLimits | None = None,
) -> list[Source]:
    """All images of an archive or a layout; closing any of them closes all. The rest as ``open_source``.

    A ``TAR`` is looked at: it may be an archive of images that came through a pipe.
    """
    path = address.location

    def opened(files: Files) -> list[Source]:
        transport = _kind_of(files) if address.transport == addresses.TAR else address.transport
        if transport == addresses.DOCKER_ARCHIVE:
            return [
                DockerArchiveSource(files, ImageAddress(transport, path, f"@{number}"))
                for number in range(len(read_items(files)))
            ]
        return [
            LayoutSource(files, ImageAddress(transport, path, f"@{number}"))
            for number in range(len(read_entries(files)))
        ]

    if address.transport == addresses.OCI:
        return _opened(DirectoryFiles(path), opened)
    return _opened(ArchiveFiles(path, workplace=workplace, cancel=cancel, limits=limits), opened)


def _kind_of(files: Files) -> Transport:
    if has_file(files, LAYOUT_FILE):
        return addresses.OCI_ARCHIVE
    if has_file(files, MANIFEST_FILE):
        return addresses.DOCKER_ARCHIVE
    raise InvalidInput(
        f"{files.what} is no archive of images", hint="'carob image import' takes root file systems"
    )


def is_rootfs(address: ImageAddress) -> bool:
    """Whether an address is of a root file system: of a directory, one that skopeo did not write."""
    if address.transport != addresses.DIRECTORY:
        return address.transport == addresses.TAR
    files = DirectoryFiles(address.location)
    try:
        return not is_image_directory(files)
    finally:
        files.close()


def _opened(files: Files, make: Callable[[Files], Opened]) -> Opened:
    try:
        return make(files)
    except BaseException:
        files.close()
        raise
