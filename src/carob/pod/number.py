"""Numbers in a pod's files, read exactly as rkt reads them: Go's ``fmt.Sscanf`` with ``%d``."""

from __future__ import annotations

from carob.errors import CorruptData

# What Go's fmt passes over before a number: the space characters of Unicode but the line feed.
SPACE = (
    "\t\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005"
    "\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_DIGITS = "0123456789"


def parse_int(raw: bytes, what: str) -> int:
    """The decimal number that ``raw`` begins with.

    Space before it is passed over (a line feed is not), one sign is allowed, and whatever follows the
    digits is ignored. Raises ``CorruptData``, naming ``what``, where there is no such number or it does
    not fit into 64 bits.
    """
    text = raw.decode("utf-8", "replace").lstrip(SPACE)
    sign, rest = ("", text) if text[:1] not in ("+", "-") else (text[0], text[1:])
    digits = rest[: len(rest) - len(rest.lstrip(_DIGITS))]
    if not digits:
        raise CorruptData(f"{what} does not hold a number")
    # More digits than any 64-bit number has are not converted: int() takes quadratic time.
    significant = digits.lstrip("0") or "0"
    value = int(sign + significant) if len(significant) < 20 else 1 << 64
    if not -(1 << 63) <= value < 1 << 63:
        raise CorruptData(f"{what} holds a number of more than 64 bits")
    return value
