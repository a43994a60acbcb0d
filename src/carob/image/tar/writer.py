"""Writing tar headers: ustar where it can say all, with PAX records where it cannot. The same entry always
gives the same bytes; owners are numbers only.
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.image.tar.entry import DEVICES, Entry, EntryType

BLOCK_BYTES = 512
END_OF_ARCHIVE = bytes(2 * BLOCK_BYTES)

_NANOSECONDS = 1_000_000_000
_OCTAL_7 = 0o7777777
_OCTAL_11 = 0o77777777777


def encode_header(entry: Entry) -> bytes:
    """The header blocks of an entry, without its data."""
    records: dict[str, bytes] = {}
    path = entry.path + b"/" if entry.type is EntryType.DIRECTORY else entry.path
    if len(path) > 100:
        records["path"] = path
    if len(entry.link_target) > 100:
        records["linkpath"] = entry.link_target
    for key, value, limit in (
        ("uid", entry.uid, _OCTAL_7),
        ("gid", entry.gid, _OCTAL_7),
        ("size", entry.size_bytes, _OCTAL_11),
    ):
        if value > limit:
            records[key] = b"%d" % value
    seconds, fraction = divmod(entry.mtime_ns, _NANOSECONDS)
    if fraction or not 0 <= seconds <= _OCTAL_11:
        records["mtime"] = _decimal_time(entry.mtime_ns)
    for name, content in sorted(entry.xattrs.items()):
        if "=" in name:
            raise InvalidInput(f"{entry.path!r}: a tar cannot hold the extended attribute {name!r}")
        records["SCHILY.xattr." + name] = content
    header = _ustar(
        path[:100],
        entry.type.value,
        entry,
        size=entry.size_bytes if entry.size_bytes <= _OCTAL_11 else 0,
        seconds=seconds if 0 <= seconds <= _OCTAL_11 else 0,
    )
    return _pax_header(records) + header if records else header


def padding(size_bytes: int) -> bytes:
    """The zeros that fill the last block of a file's data."""
    return bytes(-size_bytes % BLOCK_BYTES)


def _decimal_time(time_ns: int) -> bytes:
    seconds, fraction = divmod(abs(time_ns), _NANOSECONDS)
    text = b"%s%d.%09d" % (b"-" if time_ns < 0 else b"", seconds, fraction)
    return text.rstrip(b"0").rstrip(b".")


def _pax_header(records: dict[str, bytes]) -> bytes:
    body = b"".join(
        _pax_record(key.encode("utf-8", "surrogateescape"), value) for key, value in records.items()
    )
    carrier = Entry(path=b"PaxHeaders/entry", type=EntryType.FILE)
    return _ustar(carrier.path, b"x", carrier, size=len(body), seconds=0) + body + padding(len(body))


def _pax_record(key: bytes, value: bytes) -> bytes:
    """``<length> <key>=<value>\\n``; the length counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def _ustar(name: bytes, flag: bytes, entry: Entry, *, size: int, seconds: int) -> bytes:
    uid = entry.uid if entry.uid <= _OCTAL_7 else 0
    gid = entry.gid if entry.gid <= _OCTAL_7 else 0
    major, minor = (entry.device_major, entry.device_minor) if entry.type in DEVICES else (0, 0)
    before = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(100, b"\0"),
        entry.mode,
        uid,
        gid,
        size,
        seconds,
    )
    after = b"%s%sustar\x0000%s%s%s" % (
        flag,
        entry.link_target[:100].ljust(100, b"\0"),
        bytes(64),
        b"%07o\0%07o\0" % (major, minor),
        bytes(167),
    )
    checksum = sum(before) + sum(after) + 8 * 0x20
    return b"%s%06o\0 %s" % (before, checksum, after)
