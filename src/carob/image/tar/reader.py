"""Reading a tar as a stream: ustar, GNU and PAX headers, sparse files, nothing silently passed over.

``tarfile`` is not used: it takes a broken header for the end of the archive, keeps every member in memory,
and reads extended headers of any length. Where readers differ (sizes of links and directories, global PAX
headers) this one does as Go's archive/tar, which docker, containerd, podman, skopeo and umoci share, so
that all see the same tree in the same layer.
"""

from __future__ import annotations

import struct

from carob.errors import CorruptData, Unsupported
from carob.image.limits import limit_hint
from carob.image.tar import header
from carob.image.tar.acl import acl_xattrs
from carob.image.tar.entry import DEVICES, Entry, EntryType
from carob.image.tar.limits import LIMITS
from carob.image.tar.source import TarSource
from carob.image.tar.sparse import is_sparse, sparse_map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from carob.image.tar.limits import UnpackLimits

_XATTR = "SCHILY.xattr."
_OWNER_LIMIT = (1 << 32) - 1  # the last number means "do not change" to chown(2)
_SIZE_LIMIT = 1 << 63
_MAJORS, _MINORS = 1 << 12, 1 << 20  # as Linux has them
_TIME_LIMIT_S = 1 << 62
_REMEMBERED = 4096

# name, mode, uid, gid, size, mtime, (checksum), flag, link, magic, (owner's names), major, minor, prefix
_FIELDS = struct.Struct("100s 8s 8s 8s 12s 12s 8x c 100s 6s 66x 8s 8s 155s 12x").unpack
_TYPES = {kind.value: kind for kind in EntryType} | {b"\0": EntryType.FILE, b"7": EntryType.FILE}
_USTAR = b"ustar\0"  # GNU's magic is another, and it keeps times where the prefix is


class TarReader:
    """Iterates over the entries; ``data`` gives the pieces of the current one.

    ``read`` gives the pieces of the stream, nothing only at its end; what follows the end of the archive
    is left unread. ``CorruptData`` or ``Unsupported`` name ``what`` it is, and the member.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        what: str,
        *,
        limits: UnpackLimits = LIMITS,
    ) -> None:
        self._source = TarSource(read, what)
        self._what = what
        self._limits = limits
        self._pending: Iterator[memoryview] = iter(())
        self._numbers: dict[bytes, int] = {}  # modes and owners repeat
        self._times: dict[bytes, int] = {}

    def data(self) -> Iterator[memoryview]:
        """The data of the current entry in pieces; what is not taken is passed over."""
        return self._pending

    def __iter__(self) -> Iterator[Entry]:
        count = 0
        while (block := self._next_header()) is not None:
            entry = self._read_entry(block)
            if entry is None:
                continue
            count += 1
            if count > self._limits.entries:
                raise CorruptData(
                    f"{self._what}: more than {self._limits.entries} entries", hint=limit_hint("entries")
                )
            yield entry
            for _ in self._pending:
                pass

    def _next_header(self) -> bytes | None:
        """The next header block; ``None`` at the end: two blocks of zeros, or the end of the stream."""
        block = self._source.block()
        if not block or (block[0] == 0 and not block.strip(b"\0")):
            if block and self._source.block().strip(b"\0"):
                raise CorruptData(f"{self._what}: one block of zeros inside the tar")
            return None
        if not header.has_checksum(block):
            raise CorruptData(f"{self._what}: broken tar header")
        return block

    def _read_entry(self, block: bytes) -> Entry | None:
        """Reads the records before a member and its header; ``None`` for a global header."""
        pax: list[tuple[str, bytes]] = []
        long_path = long_target = b""
        while (flag := block[156:157]) in b"xgLK":
            size = self._number(block[124:136])
            record = self._source.whole(size, self._limits.header_bytes)
            if flag == b"g":
                header.pax_records(record, self._what)
                return None
            if flag == b"x":
                pax = header.pax_records(record, self._what)
            elif flag == b"L":
                long_path = header.text(record)
            else:
                long_target = header.text(record)
            following = self._next_header()
            if following is None:
                raise CorruptData(f"{self._what}: the tar ends after an extended header")
            block = following
        return self._member(block, pax, long_path, long_target)

    def _member(
        self, block: bytes, pax: list[tuple[str, bytes]], long_path: bytes, long_target: bytes
    ) -> Entry:
        (name, mode, uid, gid, size, mtime, flag, link, magic, major, minor, prefix) = _FIELDS(block)
        path = long_path or _ustar_path(name, magic, prefix)
        target = long_target or (link.partition(b"\0")[0] if link[0] else b"")
        entry = Entry(path, EntryType.FILE, link_target=target)
        keys = dict(pax)
        if pax:
            entry.path = path = keys.get("path") or path
            entry.link_target = target = keys.get("linkpath") or target
        if b"\0" in path or b"\0" in target:
            raise CorruptData(f"{self._named(path)}: a name with a NUL")
        entry.type = self._type(flag, path)
        entry.mode = self._number(mode) & 0o7777
        entry.uid = self._number(uid)
        entry.gid = self._number(gid)
        entry.mtime_ns = self._mtime_ns(mtime)
        if entry.type is EntryType.FILE:
            entry.size_bytes = self._number(size)
        elif entry.type in DEVICES:
            entry.device_major, entry.device_minor = self._number(major), self._number(minor)
            if entry.device_major >= _MAJORS or entry.device_minor >= _MINORS:
                raise CorruptData(f"{self._named(path)}: a device number out of range")
        if pax:
            self._apply_records(entry, pax, keys)
        if entry.uid >= _OWNER_LIMIT or entry.gid >= _OWNER_LIMIT:
            raise CorruptData(f"{self._named(path)}: an owner out of range")
        self._begin_data(entry, flag, block, pax, keys)
        return entry

    def _apply_records(self, entry: Entry, pax: list[tuple[str, bytes]], keys: dict[str, bytes]) -> None:
        what = self._named(entry.path)
        if keys.get("uid"):
            entry.uid = header.pax_integer(keys["uid"], what)
        if keys.get("gid"):
            entry.gid = header.pax_integer(keys["gid"], what)
        if keys.get("mtime"):
            entry.mtime_ns = header.pax_time_ns(keys["mtime"], what)
        if keys.get("size") and entry.type is EntryType.FILE:
            entry.size_bytes = header.pax_integer(keys["size"], what)
        xattrs = acl_xattrs(keys, what)
        xattrs.update((key[len(_XATTR) :], value) for key, value in pax if key.startswith(_XATTR))
        if xattrs:
            entry.xattrs = xattrs

    def _begin_data(
        self, entry: Entry, flag: bytes, block: bytes, pax: list[tuple[str, bytes]], keys: dict[str, bytes]
    ) -> None:
        """Makes the entry's data the current ones, and reads the map of a sparse file before them."""
        if entry.type is not EntryType.FILE:
            self._pending = iter(())
            return
        if entry.size_bytes >= _SIZE_LIMIT:
            raise CorruptData(f"{self._named(entry.path)}: a size out of range")
        if is_sparse(flag, keys):
            entry.path = keys.get("GNU.sparse.name") or entry.path  # the other one is made up, with a number
            if b"\0" in entry.path:
                raise CorruptData(f"{self._named(entry.path)}: a name with a NUL")
            entry.extents, entry.real_size_bytes, entry.size_bytes = sparse_map(
                self._source, block, pax, entry.size_bytes, self._named(entry.path), self._limits
            )
        else:
            entry.real_size_bytes = entry.size_bytes
        self._pending = self._source.data(entry.size_bytes)

    def _number(self, digits: bytes) -> int:
        value = self._numbers.get(digits)
        if value is None:
            value = self._parsed(digits)
            if not 0 <= value < _SIZE_LIMIT:
                raise CorruptData(f"{self._what}: broken tar header: a number out of range")
            if len(self._numbers) < _REMEMBERED:
                self._numbers[digits] = value
        return value

    def _mtime_ns(self, digits: bytes) -> int:
        value = self._times.get(digits)
        if value is None:
            seconds = self._parsed(digits)
            if not -_TIME_LIMIT_S < seconds < _TIME_LIMIT_S:
                raise CorruptData(f"{self._what}: broken tar header: a time out of range")
            value = seconds * 1_000_000_000
            if len(self._times) < _REMEMBERED:
                self._times[digits] = value
        return value

    def _parsed(self, digits: bytes) -> int:
        try:
            return header.number(digits)
        except ValueError as error:
            raise CorruptData(f"{self._what}: broken tar header: {error}") from error

    def _type(self, flag: bytes, path: bytes) -> EntryType:
        kind = _TYPES.get(flag)
        if kind is None:
            if flag != b"S":
                raise Unsupported(
                    f"{self._named(path)}: the tar entry type {flag.decode('ascii', 'backslashreplace')!r}"
                )
            return EntryType.FILE
        # Before POSIX a directory was a file whose name ends with a slash.
        return EntryType.DIRECTORY if flag == b"\0" and path.endswith(b"/") else kind

    def _named(self, path: bytes) -> str:
        """The archive and one member of it, for an error: printable, quoted, and not endless."""
        return f"{self._what}, entry {path[:200].decode('utf-8', 'backslashreplace')!r}"


def _ustar_path(name: bytes, magic: bytes, prefix: bytes) -> bytes:
    path = name.partition(b"\0")[0]
    if prefix[0] and magic == _USTAR:
        return prefix.partition(b"\0")[0] + b"/" + path
    return path
