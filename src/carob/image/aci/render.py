"""From the root file system of an ACI to an OCI layer: an uncompressed tar, its names without ``rootfs/``.

The same ACI with the same whitelists gives the same bytes, so that layers are shared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from carob.errors import CorruptData, Unsupported
from carob.image.aci.archive import Archive, RootfsFiles, open_stream
from carob.image.aci.limits import AciLimits
from carob.image.aci.whitelist import Whitelist, is_kept
from carob.image.tar.entry import Entry, EntryType
from carob.image.tar.reader import TarReader
from carob.image.tar.writer import END_OF_ARCHIVE, encode_header, padding

_ZEROS = bytes(1 << 16)
_LINK = EntryType.HARD_LINK

Sink = Callable[[bytes | memoryview], object]


class Rendered:
    """A layer that was written: ``digest`` (``sha256:<hex>``, also its diff id) and ``size_bytes``."""

    __slots__ = ("digest", "size_bytes")

    def __init__(self, digest: str, size_bytes: int) -> None:
        self.digest = digest
        self.size_bytes = size_bytes


def render_archive(
    archive: Archive,
    whitelists: Sequence[Whitelist],
    sink: Sink,
    what: str,
    limits: AciLimits,
) -> Rendered:
    """Writes the layer of one ACI."""
    files = RootfsFiles(open_stream(archive.fd, what, limits), what, limits)
    return _render(files, archive.links, whitelists, _Writer(sink))


def render_layer(
    fd: int, digest: str, whitelists: Sequence[Whitelist], sink: Sink, what: str, limits: AciLimits
) -> Rendered:
    """Filters a layer that was rendered before: the blob ``fd``; ``CorruptData`` without its ``digest``."""
    files = LayerFiles(fd, what, limits)
    links: dict[bytes, bytes] = {}
    for path, _, target in files:
        if target:
            links[path] = links.get(target, target)
    if files.drained_digest() != digest:
        raise CorruptData(f"{what} does not have its digest", hint="fetch the image again")
    return _render(LayerFiles(fd, what, limits), links, whitelists, _Writer(sink))


class LayerFiles:
    """The members of a rendered layer, as ``RootfsFiles`` gives those of an ACI."""

    def __init__(self, fd: int, what: str, limits: AciLimits) -> None:
        self._stream = open_stream(fd, what, limits)
        self._reader = TarReader(self._stream.read, what, limits=limits.of_archive())

    def data(self) -> Iterator[memoryview]:
        """The data of the current member."""
        return self._reader.data()

    def __iter__(self) -> Iterator[tuple[bytes, Entry, bytes]]:
        """(path, entry, target of a hard link)."""
        for entry in self._reader:
            path = entry.path.rstrip(b"/")
            yield b"" if path == b"." else path, entry, entry.link_target if entry.type is _LINK else b""

    def drained_digest(self) -> str:
        """The digest of the whole blob, to be asked for after the members."""
        self._stream.drain()
        return self._stream.digest


def find_owners(
    layer_fds: Sequence[int], asked: Collection[bytes], what: str, limits: AciLimits
) -> dict[bytes, tuple[int, int]]:
    """(uid, gid) of each asked path in the topmost of the layers (top first) that has it.

    ``Unsupported`` for a symbolic link: whose owner was meant, nobody knows.
    """
    found: dict[bytes, tuple[int, int]] = {}
    for fd in layer_fds:
        if len(found) == len(set(asked)):
            break
        here: dict[bytes, tuple[int, int]] = {}
        for path, entry, _ in LayerFiles(fd, what, limits):
            if path in asked and path not in found:
                if entry.type is EntryType.SYMLINK:
                    shown = path.decode("utf-8", "backslashreplace")
                    raise Unsupported(f"{what}: its app runs as the owner of /{shown}, a symbolic link")
                here[path] = (entry.uid, entry.gid)
        found.update(here)
    return found


def _render(
    files: RootfsFiles | LayerFiles,
    links: dict[bytes, bytes],
    whitelists: Sequence[Whitelist],
    writer: _Writer,
) -> Rendered:
    carriers = _carriers(links, whitelists)
    for path, entry, _ in files:
        stays = is_kept(path, is_directory=entry.type is EntryType.DIRECTORY, whitelists=whitelists)
        if stays and entry.type is _LINK:
            file = links[path]
            if carriers.get(file) != path:
                writer.write(replace(entry, link_target=carriers.get(file, file)), path, ())
        elif stays:
            writer.write(entry, path, files.data())
        elif path in carriers:
            # The file itself goes, a hard link to it stays: that one gets the data.
            writer.write(entry, carriers[path], files.data())
    return writer.finish()


def _carriers(links: dict[bytes, bytes], whitelists: Sequence[Whitelist]) -> dict[bytes, bytes]:
    """For each file that goes: the first of its hard links that stays."""
    carriers: dict[bytes, bytes] = {}
    for link, file in links.items():
        if (
            file not in carriers
            and not is_kept(file, is_directory=False, whitelists=whitelists)
            and is_kept(link, is_directory=False, whitelists=whitelists)
        ):
            carriers[file] = link
    return carriers


class _Writer:
    """Writes members, and hashes what it writes."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self._size_bytes = 0

    def write(self, entry: Entry, path: bytes, data: Iterable[memoryview]) -> None:
        size = entry.size_bytes if entry.extents is None else entry.real_size_bytes
        plain = replace(entry, path=path or b".", size_bytes=size, extents=None, real_size_bytes=size)
        self._put(encode_header(plain))
        for piece in data if entry.extents is None else _expanded(entry, data):
            self._put(piece)
        self._put(padding(size))

    def _put(self, piece: bytes | memoryview) -> None:
        self._hash.update(piece)
        self._size_bytes += len(piece)
        self._sink(piece)

    def finish(self) -> Rendered:
        self._put(END_OF_ARCHIVE)
        return Rendered("sha256:" + self._hash.hexdigest(), self._size_bytes)


def _expanded(entry: Entry, data: Iterable[memoryview]) -> Iterator[bytes | memoryview]:
    """The data of a sparse file with its holes as zeros."""
    assert entry.extents is not None
    pieces = iter(data)
    rest = memoryview(b"")
    position = 0
    for offset, length in entry.extents:
        yield from _zeros(offset - position)
        missing = length
        while missing:
            rest = rest or next(pieces)
            taken, rest = rest[:missing], rest[missing:]
            missing -= len(taken)
            yield taken
        position = offset + length
    for _ in pieces:
        pass
    yield from _zeros(entry.real_size_bytes - position)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield _ZEROS[: min(count, len(_ZEROS))]
        count -= len(_ZEROS)
