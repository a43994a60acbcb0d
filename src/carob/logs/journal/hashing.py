"""Bob Jenkins' lookup3 (hashlittle2), as journal files without keyed hashes use it."""

from __future__ import annotations

from struct import iter_unpack

_M = 0xFFFFFFFF
_START = 0xDEADBEEF


def hash64(data: bytes) -> int:
    """The hash of a payload: both 32-bit results, the primary one above."""
    length = len(data)
    a = b = c = (_START + length) & _M
    if not length:
        return c << 32 | b
    blocks = (length + 11) // 12
    *whole, last = iter_unpack("<III", data.ljust(blocks * 12, b"\0"))
    for x, y, z in whole:
        a, b, c = _mix(a + x & _M, b + y & _M, c + z & _M)
    x, y, z = last
    return _finish(a + x & _M, b + y & _M, c + z & _M)


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = (a - c & _M) ^ (c << 4 & _M | c >> 28)
    c = c + b & _M
    b = (b - a & _M) ^ (a << 6 & _M | a >> 26)
    a = a + c & _M
    c = (c - b & _M) ^ (b << 8 & _M | b >> 24)
    b = b + a & _M
    a = (a - c & _M) ^ (c << 16 & _M | c >> 16)
    c = c + b & _M
    b = (b - a & _M) ^ (a << 19 & _M | a >> 13)
    a = a + c & _M
    c = (c - b & _M) ^ (b << 4 & _M | b >> 28)
    return a, b + a & _M, c


def _finish(a: int, b: int, c: int) -> int:
    c = (c ^ b) - (b << 14 & _M | b >> 18) & _M
    a = (a ^ c) - (c << 11 & _M | c >> 21) & _M
    b = (b ^ a) - (a << 25 & _M | a >> 7) & _M
    c = (c ^ b) - (b << 16 & _M | b >> 16) & _M
    a = (a ^ c) - (c << 4 & _M | c >> 28) & _M
    b = (b ^ a) - (a << 14 & _M | a >> 18) & _M
    c = (c ^ b) - (b << 24 & _M | b >> 8) & _M
    return c << 32 | b
