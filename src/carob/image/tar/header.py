"""The numbers and records inside tar headers: ustar, GNU and PAX (POSIX pax, GNU tar manual)."""

from __future__ import annotations

from zlib import adler32

from carob.errors import CorruptData

BLOCK_BYTES = 512
HEADER_BYTES = 1 << 20
"""The longest PAX or GNU name record that is read, as in Go's archive/tar."""

_TIME_LIMIT_S = 1 << 62
_NANOSECONDS = 1_000_000_000


def has_checksum(block: bytes) -> bool:
    """Whether a header's checksum fits, with bytes taken as unsigned, or signed as old tars did."""
    try:
        stored = number(block[148:156])
    except ValueError:
        return False
    # The low half of an Adler-32 is 1 plus the sum of the bytes, exact for 256 of them (RFC 1950), and six
    # times as fast as sum().
    total = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2
    unsigned = total - sum(block[148:156]) + 8 * 0x20
    if stored == unsigned:
        return True
    high = sum(byte > 127 for byte in block[:148]) + sum(byte > 127 for byte in block[156:])
    return stored == unsigned - 256 * high


def number(digits: bytes) -> int:
    """An octal number, or GNU's base-256 form (first bit set, two's complement)."""
    if digits[:1] >= b"\x80":
        value = int.from_bytes(digits, "big")
        bits = 8 * len(digits)
        if digits[0] & 0x40:
            return value - (1 << bits)
        return value & ~(1 << (bits - 1))
    text = digits.partition(b"\0")[0].strip(b" ")
    if not text:
        return 0
    if text.strip(b"01234567"):
        raise ValueError(f"not an octal number: {_shown(digits)}")
    return int(text, 8)


def text(raw: bytes) -> bytes:
    """A NUL-terminated or full field."""
    return raw.partition(b"\0")[0]


def pax_records(data: bytes, what: str) -> list[tuple[str, bytes]]:
    """The records of an extended header in order: ``<length> <key>=<value>\\n`` each."""
    records = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 21)
        digits = data[position:space] if space > 0 else b""
        if not digits.isdigit():
            raise CorruptData(f"{what}: broken PAX record")
        end = position + int(digits)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end > len(data) or end <= space or data[end - 1 : end] != b"\n" or not equals or not key:
            raise CorruptData(f"{what}: broken PAX record")
        records.append((key.decode("utf-8", "surrogateescape"), value))
        position = end
    return records


def pax_integer(value: bytes, what: str) -> int:
    """A decimal number that is not negative."""
    if not value.isdigit() or len(value) > 19:
        raise CorruptData(f"{what}: broken PAX number {_shown(value[:30])}")
    return int(value)


def pax_time_ns(value: bytes, what: str) -> int:
    """A time in seconds with a fraction, in nanoseconds; more digits than that are cut off downwards."""
    negative = value.startswith(b"-")
    seconds, _, fraction = value.removeprefix(b"-").partition(b".")
    if not seconds.isdigit() or len(seconds) > 19 or (fraction and not fraction.isdigit()):
        raise CorruptData(f"{what}: broken PAX time {_shown(value[:30])}")
    if int(seconds) >= _TIME_LIMIT_S:
        raise CorruptData(f"{what}: a time out of range")
    nanoseconds = int(seconds) * _NANOSECONDS + int(fraction[:9].ljust(9, b"0"))
    if not negative:
        return nanoseconds
    return -nanoseconds - (1 if fraction[9:].strip(b"0") else 0)


def _shown(value: bytes) -> str:
    return repr(value.decode("ascii", "backslashreplace"))
