"""The files in a tar, read where they are: its headers are read once, its data only where they are asked for.

A tar that is compressed, or comes through a pipe, is copied first to a file without a name.
"""

from __future__ import annotations

import os
import posixpath
import stat
import tempfile
import threading
from collections.abc import Callable

from carob.errors import CorruptData, NotFound, OutOfResources, Unavailable
from carob.image.archives.input import cancellable_input
from carob.image.cancel import Cancellation
from carob.image.compression import MAGIC_BYTES, PIECE_BYTES, Compression, decompressed, detect
from carob.image.failures import translate
from carob.image.files.durable import write_all
from carob.image.limits import ImageLimits, limit_hint
from carob.image.sources.files import FileReader
from carob.image.sources.source import BlobReader
from carob.image.tar import header

MEMBERS = 100_000
"""More members than that no archive of images has."""

_LINKS = 10
_BLOCK_BYTES = header.BLOCK_BYTES
_FILES = frozenset((b"0", b"\0", b"7"))
_LONG = frozenset((b"x", b"L", b"K"))
_HARD_LINK, _SYMBOLIC_LINK = b"1", b"2"


class ArchiveFiles:
    """``Files`` of the tar at ``path``: a file or a pipe, compressed or not.

    Links between members are followed. Of several members of one name the last one counts, as it would if
    the tar were unpacked. ``workplace`` is a directory with room for a copy of it; ``cancel`` ends the
    making of one.
    """

    def __init__(
        self,
        path: str,
        *,
        workplace: str,
        limits: ImageLimits | None = None,
        cancel: Cancellation | None = None,
    ) -> None:
        self.what = path
        self._members: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        self._lock = threading.Lock()  # a descriptor must not be closed while it is used
        self._fd = _open_plain(
            path, workplace, (limits or ImageLimits()).archive_bytes, cancel or Cancellation()
        )
        try:
            self._read_headers()
        except BaseException:
            self.close()
            raise

    def size_bytes(self, name: str) -> int:
        """See ``Files``."""
        return self._find(name)[1]

    def open(self, name: str, offset: int = 0) -> BlobReader:
        """See ``Files``."""
        start, size_bytes = self._find(name)
        with self._lock:
            if self._fd < 0:
                raise Unavailable(f"{self.what} was closed")
            return FileReader(
                self._fd, start, start + size_bytes, f"{self.what}, member {name}", offset=offset
            )

    def close(self) -> None:
        """See ``Files``."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def _find(self, name: str) -> tuple[int, int]:
        found = posixpath.normpath(name)
        for _ in range(_LINKS):
            if found in self._members:
                return self._members[found]
            if found not in self._links:
                raise NotFound(f"there is no {name} in {self.what}")
            found = self._links[found]
        raise CorruptData(f"{self.what}: {name} is a link to links without end")

    def _read_headers(self) -> None:
        end = os.fstat(self._fd).st_size
        position = 0
        count = 0
        long: dict[bytes, bytes] = {}
        while block := self._block(position):
            flag = block[156:157]
            keys = dict(header.pax_records(long[b"x"], self.what)) if b"x" in long else {}
            size_bytes = self._size(block, keys)
            position += _BLOCK_BYTES
            if position + size_bytes > end:
                raise CorruptData(f"{self.what}: the tar ends in the middle of a file")
            if flag in _LONG:
                long[flag] = self._record(position, size_bytes)
            elif flag != b"g":
                self._add(block, keys, long, position, size_bytes)
                long = {}
            count += 1
            if count > MEMBERS:
                raise CorruptData(f"{self.what}: more than {MEMBERS} members")
            position += size_bytes + -size_bytes % _BLOCK_BYTES

    def _block(self, position: int) -> bytes:
        """The header at ``position``; nothing at the end, which is a block of zeros or the file's."""
        block = os.pread(self._fd, _BLOCK_BYTES, position)
        if not block.strip(b"\0"):
            return b""
        if len(block) < _BLOCK_BYTES or not header.has_checksum(block):
            raise CorruptData(f"{self.what}: broken tar header")
        return block

    def _size(self, block: bytes, keys: dict[str, bytes]) -> int:
        if keys.get("size") and block[156:157] in _FILES:
            return header.pax_integer(keys["size"], self.what)
        try:
            size_bytes = header.number(block[124:136])
        except ValueError as error:
            raise CorruptData(f"{self.what}: broken tar header: {error}") from error
        if size_bytes < 0:
            raise CorruptData(f"{self.what}: broken tar header: a negative size")
        has_data = block[156:157] in _FILES or block[156:157] in _LONG or block[156:157] == b"g"
        return size_bytes if has_data else 0

    def _record(self, position: int, size_bytes: int) -> bytes:
        if size_bytes > header.HEADER_BYTES:
            raise CorruptData(f"{self.what}: a header record of {size_bytes} bytes")
        return os.pread(self._fd, size_bytes, position)

    def _add(
        self, block: bytes, keys: dict[str, bytes], long: dict[bytes, bytes], position: int, size_bytes: int
    ) -> None:
        flag = block[156:157]
        name = _name(keys.get("path") or header.text(long.get(b"L", b"")) or _ustar_name(block))
        self._members.pop(name, None)
        self._links.pop(name, None)
        if flag in _FILES:
            self._members[name] = (position, size_bytes)
        elif flag in (_HARD_LINK, _SYMBOLIC_LINK):
            target = keys.get("linkpath") or header.text(long.get(b"K", b"")) or header.text(block[157:257])
            directory = posixpath.dirname(name) if flag == _SYMBOLIC_LINK else ""
            self._links[name] = _name(os.fsencode(directory) + b"/" + target if directory else target)


def _name(raw: bytes) -> str:
    """A member's name in normal form. ``..`` may lead anywhere: it is a key, never a path on disk."""
    return posixpath.normpath(os.fsdecode(raw))


def _ustar_name(block: bytes) -> bytes:
    name = header.text(block[:100])
    prefix = header.text(block[345:500]) if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _open_plain(path: str, workplace: str, limit_bytes: int, cancel: Cancellation) -> int:
    """Opens an uncompressed tar that can be read at any place: the file itself, or a copy of it."""
    with cancellable_input(path, cancel) as (fd, read):
        head = b""
        while len(head) < MAGIC_BYTES and (more := read(PIECE_BYTES)):
            head += more
        compression = detect(head)
        if compression is Compression.NONE and stat.S_ISREG(os.fstat(fd).st_mode):
            return os.dup(fd)
        return _spool(decompressed(compression, _after(head, read), path), workplace, path, limit_bytes)


def _after(head: bytes, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Reads ``head`` again and then what follows it."""
    waiting = [head] if head else []
    return lambda size: waiting.pop() if waiting else read(size)


def _spool(read: Callable[[int], bytes], workplace: str, path: str, limit_bytes: int) -> int:
    copied_bytes = 0
    try:
        with tempfile.TemporaryFile(dir=workplace, buffering=0) as file:
            while piece := read(PIECE_BYTES):
                copied_bytes += len(piece)
                if copied_bytes > limit_bytes:
                    raise OutOfResources(
                        f"{path}: more than {limit_bytes} bytes when uncompressed",
                        hint=limit_hint("archive_bytes"),
                    )
                write_all(file.fileno(), piece)
            return os.dup(file.fileno())
    except OSError as error:
        raise translate(error, f"copying {path} to {workplace}") from error
