"""Reading an ACI, a tar of ``manifest`` and ``rootfs/``, and holding it to the specification (aci.md).

It is read twice from a private copy: once through, for the image id, the manifest and every rule; then once
more for its files (``render``).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from carob.errors import CorruptData, InvalidInput, Unsupported
from carob.image.aci.limits import AciLimits
from carob.image.compression import EVERY_COMPRESSION
from carob.image.files.metadata import check_xattrs
from carob.image.layers.stream import LayerStream
from carob.image.limits import limit_hint
from carob.image.tar.entry import DEVICES, Entry, EntryType
from carob.image.tar.reader import TarReader
from carob.spec.appc.image import ImageManifest
from carob.spec.appc.names import Hash
from carob.spec.discovery import path_parts

_MANIFEST = b"manifest"
_ROOTFS = b"rootfs"
_WHITEOUT = b".wh."
_APPC_MAJOR = 0
_ENCRYPTED = (b"\x8c", b"\xc3", b"-----BEGIN PGP MESSAGE")  # RFC 9580, 5.3: how such a message begins


class Archive:
    """What the first reading found.

    - ``fd``: the file, read from its beginning by whoever reads it.
    - ``image_id``: ``sha512-<128 hex digits>`` of the uncompressed tar.
    - ``manifest`` and ``manifest_bytes``, its exact text.
    - ``size_bytes`` as it is, ``plain_bytes`` uncompressed.
    - ``links``: hard links of the root file system to the file they end at; paths without ``rootfs/``.
    """

    __slots__ = ("fd", "image_id", "links", "manifest", "manifest_bytes", "plain_bytes", "size_bytes")

    def __init__(
        self,
        fd: int,
        *,
        image_id: str,
        manifest: ImageManifest,
        manifest_bytes: bytes,
        size_bytes: int,
        plain_bytes: int,
        links: dict[bytes, bytes],
    ) -> None:
        self.fd = fd
        self.image_id = image_id
        self.manifest = manifest
        self.manifest_bytes = manifest_bytes
        self.size_bytes = size_bytes
        self.plain_bytes = plain_bytes
        self.links = links


class RootfsFiles:
    """The members of an ACI's root file system, checked, one after the other.

    Their paths, and the targets of hard links, are relative to it; ``b""`` is the root directory itself.
    ``data`` as in ``TarReader``. The manifest is passed over; ``manifest_bytes`` has it once it came.
    """

    def __init__(self, stream: LayerStream, what: str, limits: AciLimits) -> None:
        self.manifest_bytes: bytes | None = None
        self.expanded_bytes = 0
        self._what = what
        self._limits = limits
        self._reader = TarReader(stream.read, what, limits=limits.of_archive())

    def data(self) -> Iterator[memoryview]:
        """The data of the current member."""
        return self._reader.data()

    def __iter__(self) -> Iterator[tuple[bytes, Entry, bytes]]:
        """(path, entry, target of a hard link)."""
        for entry in self._reader:
            what = f"{self._what}, entry {_shown(entry.path)}"
            parts = _parts(entry.path, what)
            if not parts:
                if entry.type is not EntryType.DIRECTORY:
                    raise CorruptData(f"{what}: not a directory")
            elif parts == [_MANIFEST]:
                self._take_manifest(entry, what)
            elif parts[0] == _ROOTFS:
                self._check(entry, parts, what)
                target = _link_target(entry, what) if entry.type is EntryType.HARD_LINK else b""
                yield b"/".join(parts[1:]), entry, target
            else:
                raise CorruptData(
                    f"{what}: an appc image has 'manifest' and 'rootfs' at its top and nothing else"
                )

    def _take_manifest(self, entry: Entry, what: str) -> None:
        if self.manifest_bytes is not None:
            raise CorruptData(f"{what}: there are two")
        if entry.type is not EntryType.FILE or entry.extents is not None:
            raise CorruptData(f"{what}: not a plain file")
        if entry.size_bytes > self._limits.manifest_bytes:
            raise CorruptData(f"{what}: larger than {self._limits.manifest_bytes} bytes")
        self.manifest_bytes = b"".join(bytes(piece) for piece in self._reader.data())

    def _check(self, entry: Entry, parts: list[bytes], what: str) -> None:
        """What would mean something else in an OCI layer, or cannot be there."""
        check_xattrs(entry, what)
        if len(parts) == 1 and entry.type is not EntryType.DIRECTORY:
            raise CorruptData(f"{what}: not a directory")
        if any(part.startswith(_WHITEOUT) for part in parts):
            raise Unsupported(f"{what}: in a layer such a name would mean a deleted file")
        if entry.type in DEVICES and (entry.device_major, entry.device_minor) == (0, 0):
            raise CorruptData(f"{what}: a device 0/0 would be taken for a deleted file")
        if entry.extents is not None:
            self.expanded_bytes += entry.real_size_bytes
            if self.expanded_bytes > self._limits.plain_bytes:
                raise CorruptData(
                    f"{what}: more than {self._limits.plain_bytes} bytes with its holes",
                    hint=limit_hint("aci_unpacked_bytes"),
                )


def open_stream(fd: int, what: str, limits: AciLimits) -> LayerStream:
    """The ACI in ``fd`` from its beginning, uncompressed."""
    os.lseek(fd, 0, os.SEEK_SET)
    return LayerStream(fd, what, allowed=EVERY_COMPRESSION, limits=limits.of_archive())


def scan(fd: int, what: str, limits: AciLimits) -> Archive:
    """Reads an ACI through. ``CorruptData`` and ``Unsupported`` name ``what`` and the entry at fault."""
    if os.pread(fd, 32, 0).startswith(_ENCRYPTED):
        raise Unsupported(f"{what}: an encrypted appc image", hint="decrypt it first: gpg --decrypt")
    stream = open_stream(fd, what, limits)
    digest = hashlib.sha512()
    stream.copy_plain_to(digest.update)
    files = RootfsFiles(stream, what, limits)
    seen: set[int] = set()
    links: dict[bytes, bytes] = {}
    for path, entry, target in files:
        # Hashes, for a million names would take 150 MB; Python's are keyed, so that nobody makes two alike.
        if (key := hash(path)) in seen:
            raise CorruptData(f"{what}: the entry {_shown(entry.path)} is there twice")
        if entry.type is EntryType.HARD_LINK:
            if hash(target) not in seen:
                shown = _shown(entry.link_target)
                raise CorruptData(
                    f"{what}: {_shown(entry.path)} is a hard link to {shown}, which is not there"
                )
            links[path] = links.get(target, target)
        seen.add(key)
    stream.drain()
    if files.manifest_bytes is None:
        raise CorruptData(f"{what}: no appc image: it has no manifest")
    if not seen:
        raise CorruptData(f"{what}: no appc image: it has no rootfs")
    return Archive(
        fd,
        image_id="sha512-" + digest.hexdigest(),
        manifest=parse_manifest(files.manifest_bytes, what),
        manifest_bytes=files.manifest_bytes,
        size_bytes=os.fstat(fd).st_size,
        plain_bytes=stream.plain_bytes,
        links=links,
    )


def parse_manifest(data: bytes, what: str) -> ImageManifest:
    """The manifest in ``data``; ``CorruptData`` names the field at fault."""
    try:
        manifest = ImageManifest.from_json(data)
        for dependency in manifest.dependencies:
            path_parts(dependency.image_name)
        path_parts(manifest.name)
    except InvalidInput as error:
        raise CorruptData(f"{what}: its manifest is not valid: {error.message}") from error
    if manifest.ac_version.numbers[0] != _APPC_MAJOR:
        raise Unsupported(
            f"{what}: it follows version {str(manifest.ac_version)!r} of the appc specification"
        )
    return manifest


def is_image_id(image_id: str, wanted: str) -> bool:
    """Whether a whole image id is the one that is wanted: all 128 digits of it, or the first 64, as rkt's
    store shortens them. Fewer prove nothing.
    """
    value = Hash(wanted).value
    return len(value) in (64, 128) and Hash(image_id).value.startswith(value.lower())


def _parts(path: bytes, what: str) -> list[bytes]:
    if path.startswith(b"/"):
        raise CorruptData(f"{what}: an absolute path")
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise CorruptData(f"{what}: '..' in a path")
    return parts


def _link_target(entry: Entry, what: str) -> bytes:
    parts = _parts(entry.link_target, what)
    if len(parts) < 2 or parts[0] != _ROOTFS:
        raise CorruptData(f"{what}: a hard link out of the root file system, to {_shown(entry.link_target)}")
    return b"/".join(parts[1:])


def _shown(path: bytes) -> str:
    return repr(path[:200].decode("utf-8", "backslashreplace"))
