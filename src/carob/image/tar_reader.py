"""Reading a tar as a stream: ustar, GNU and PAX headers, sparse files, nothing silently passed over.

``tarfile`` is not used: it takes a broken header for the end of the archive, keeps every member in memory,
and reads extended headers of any length. Where readers differ (sizes of links and directories, global PAX
headers) this one does as Go's archive/tar, which docker, containerd, podman, skopeo and umoci share, so
that all see the same tree in the same layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from carob.errors import CorruptData, Unsupported
from carob.image import tar_header as header
from carob.image.tar_entry import DEVICES, Entry, EntryType
from carob.image.tar_source import TarSource

ENTRIES = 10_000_000
"""More members in one layer are refused."""

_XATTR = "SCHILY.xattr."
_OWNER_LIMIT = (1 << 32) - 1  # the last number means "do not change" to chown(2)
_SIZE_LIMIT = 1 << 63
_FILE_FLAGS = (b"0", b"\0", b"7")


class TarReader:
    """Iterates over the entries; ``data`` gives the pieces of the current one.

    ``read`` gives the pieces of the stream, nothing only at its end; what follows the end of the archive
    is left unread. ``CorruptData`` or ``Unsupported`` name ``what`` it is, and the member.
    """

    def __init__(self, read: Callable[[], bytes], what: str, *, limit_entries: int = ENTRIES) -> None:
        self._source = TarSource(read, what)
        self._what = what
        self._limit_entries = limit_entries
        self._pending: Iterator[memoryview] = iter(())

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
            if count > self._limit_entries:
                raise CorruptData(f"{self._what}: more than {self._limit_entries} entries")
            yield entry
            for _ in self._pending:
                pass

    def _next_header(self) -> bytes | None:
        """The next header block; ``None`` at the end: two blocks of zeros, or the end of the stream."""
        block = self._source.block()
        if not block.strip(b"\0"):
            if block and self._source.block().strip(b"\0"):
                raise CorruptData(f"{self._what}: one block of zeros inside the tar")
            return None
        if not header.has_checksum(block):
            raise CorruptData(f"{self._what}: broken tar header")
        return block

    def _read_entry(self, block: bytes) -> Entry | None:
        """Reads the records before a member and its header; ``None`` for a global header."""
        pax: list[tuple[str, bytes]] = []
        long_path = long_target = None
        while True:
            flag = block[156:157]
            if flag not in (b"x", b"g", b"L", b"K"):
                break
            record = self._source.whole(self._number(block[124:136]), header.HEADER_BYTES)
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
        self, block: bytes, pax: list[tuple[str, bytes]], long_path: bytes | None, long_target: bytes | None
    ) -> Entry:
        keys = dict(pax)
        path = keys.get("path") or long_path or _ustar_path(block)
        what = f"{self._what}, entry {_shown(path)}"
        target = keys.get("linkpath") or long_target or header.text(block[157:257])
        if b"\0" in path or b"\0" in target:
            raise CorruptData(f"{what}: a name with a NUL")
        kind = _entry_type(block[156:157], path, what)
        size = 0
        if kind is EntryType.FILE:
            size = self._value(keys, "size", block[124:136], what, _SIZE_LIMIT)
        extents, real_size, stored = None, size, size
        if kind is EntryType.FILE and (block[156:157] == b"S" or "GNU.sparse.major" in keys):
            extents, real_size, stored = self._sparse(block, keys, size, what)
            path = keys.get("GNU.sparse.name") or path
        elif kind is EntryType.FILE and "GNU.sparse.map" in keys:
            extents, real_size = _sparse_0_1(keys, size, what)
            path = keys.get("GNU.sparse.name") or path
        elif any(key.startswith("GNU.sparse.") for key in keys):
            raise Unsupported(f"{what}: a sparse file in the format GNU tar used until 2005")
        self._pending = self._source.data(stored)
        return Entry(
            path=path,
            type=kind,
            mode=self._number(block[100:108]) & 0o7777,
            uid=self._value(keys, "uid", block[108:116], what, _OWNER_LIMIT),
            gid=self._value(keys, "gid", block[116:124], what, _OWNER_LIMIT),
            mtime_ns=self._mtime_ns(keys, block, what),
            size_bytes=stored,
            link_target=target,
            device_major=self._number(block[329:337]) if kind in DEVICES else 0,
            device_minor=self._number(block[337:345]) if kind in DEVICES else 0,
            xattrs={key.removeprefix(_XATTR): value for key, value in pax if key.startswith(_XATTR)},
            real_size_bytes=real_size,
            extents=extents,
        )

    def _number(self, digits: bytes) -> int:
        try:
            value = header.number(digits)
        except ValueError as error:
            raise CorruptData(f"{self._what}: broken tar header: {error}") from error
        if not 0 <= value < _SIZE_LIMIT:
            raise CorruptData(f"{self._what}: broken tar header: a number out of range")
        return value

    def _value(self, keys: dict[str, bytes], key: str, digits: bytes, what: str, limit: int) -> int:
        value = header.pax_integer(keys[key], what) if keys.get(key) else self._number(digits)
        if value >= limit:
            raise CorruptData(f"{what}: {key} is out of range")
        return value

    def _mtime_ns(self, keys: dict[str, bytes], block: bytes, what: str) -> int:
        if keys.get("mtime"):
            return header.pax_time_ns(keys["mtime"], what)
        try:
            seconds = header.number(block[136:148])
        except ValueError as error:
            raise CorruptData(f"{what}: {error}") from error
        if abs(seconds) >= 1 << 62:
            raise CorruptData(f"{what}: a time out of range")
        return seconds * 1_000_000_000

    def _sparse(
        self, block: bytes, keys: dict[str, bytes], size: int, what: str
    ) -> tuple[header.Extents, int, int]:
        """The map of an old GNU or a PAX 1.0 sparse file: extents, size of the file, bytes that follow."""
        if block[156:157] == b"S":
            extents = header.old_gnu_extents(block[386:482], what)
            real_size = self._number(block[483:495])
            is_extended = block[482]
            while is_extended:
                more = self._source.block()
                extents += header.old_gnu_extents(more[:504], what)
                is_extended = more[504] if more else 0
                if len(extents) > header.SPARSE_EXTENTS:
                    raise CorruptData(f"{what}: too many extents in a sparse file")
            return header.check_extents(extents, real_size, size, what), real_size, size
        if (keys["GNU.sparse.major"], keys.get("GNU.sparse.minor")) != (b"1", b"0"):
            raise Unsupported(f"{what}: an unknown format of sparse files")
        real_size = header.pax_integer(keys.get("GNU.sparse.realsize", b""), what)
        numbers, taken = self._sparse_1_0_map(what)
        extents = header.extents_of_list(numbers, what)
        return header.check_extents(extents, real_size, size - taken, what), real_size, size - taken

    def _sparse_1_0_map(self, what: str) -> tuple[list[bytes], int]:
        """The map before the data: a count and then pairs, one number a line, padded to whole blocks."""
        text, taken, wanted = b"", 0, None
        while wanted is None or text.count(b"\n") <= wanted:
            block = self._source.block()
            if not block or taken > header.HEADER_BYTES:
                raise CorruptData(f"{what}: broken map of a sparse file")
            text += block
            taken += len(block)
            if wanted is None and b"\n" in text:
                wanted = 2 * header.pax_integer(text.partition(b"\n")[0], what)
        return text.split(b"\n")[1 : wanted + 1], taken


def _sparse_0_1(keys: dict[str, bytes], size: int, what: str) -> tuple[header.Extents, int]:
    real_size = header.pax_integer(keys.get("GNU.sparse.size", b""), what)
    listed = keys["GNU.sparse.map"]
    extents = header.extents_of_list(listed.split(b",") if listed else [], what)
    return header.check_extents(extents, real_size, size, what), real_size


def _ustar_path(block: bytes) -> bytes:
    name = header.text(block[:100])
    if block[257:263] != b"ustar\0":  # GNU's magic is another, and it keeps times where the prefix is
        return name
    prefix = header.text(block[345:500])
    return prefix + b"/" + name if prefix else name


def _entry_type(flag: bytes, path: bytes, what: str) -> EntryType:
    if flag in _FILE_FLAGS:
        # Before POSIX a directory was a file whose name ends with a slash.
        return EntryType.DIRECTORY if flag == b"\0" and path.endswith(b"/") else EntryType.FILE
    if flag == b"S":
        return EntryType.FILE
    try:
        return EntryType(flag)
    except ValueError:
        raise Unsupported(f"{what}: the tar entry type {flag!r}") from None


def _shown(path: bytes) -> str:
    """A path for an error message: printable, quoted, and not endless."""
    return repr(path[:200].decode("utf-8", "backslashreplace"))
