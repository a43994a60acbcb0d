"""Volumes, mount points and ports as one string of a command line: ``name,key=value,key=value``.

The string is read as appc's tools read it: keys may be percent-encoded as in a URL's query, values are
taken as they are, no key may come twice.
"""

from __future__ import annotations

from carob.spec.appc.fault import FieldError
from carob.spec.appc.plain import checked_text

_LONGEST_INT64 = 19
_HEX = frozenset("0123456789abcdefABCDEF")
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def read_parameters(text: str, known: tuple[str, ...]) -> dict[str, str]:
    """The parameters in ``text``; the part before the first comma is called ``name``.

    Raises `FieldError` for an unknown or repeated key and for a part without ``=``.
    """
    found: dict[str, str] = {}
    for key, value in _pairs("name=" + checked_text(text)):
        if key in found:
            raise FieldError(f"{key!r} is given more than once in {text!r}")
        if key not in known:
            raise FieldError(f"unknown parameter {key!r} in {text!r}", hint=f"known are {', '.join(known)}")
        found[key] = value
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for part in text.split(","):
        keys, equals, value = part.partition("=")
        if not equals:
            raise FieldError(f"{part!r} in {text!r} has no value", hint="write key=value")
        *bare, key = keys.split("&")
        pairs.extend((_unescape(word), "") for word in bare if word)
        pairs.append((_unescape(key), value))
    return pairs


def _unescape(key: str) -> str:
    if ";" in key:
        raise FieldError(f"bad key {key!r}")
    first, *escaped = key.replace("+", " ").split("%")
    octets = bytearray(first.encode())
    for piece in escaped:
        if len(piece) < 2 or piece[0] not in _HEX or piece[1] not in _HEX:
            raise FieldError(f"bad escape in the key {key!r}")
        octets.append(int(piece[:2], 16))
        octets += piece[2:].encode()
    return octets.decode(errors="replace")


def read_bool(text: str) -> bool:
    """``1 t T TRUE true True`` or ``0 f F FALSE false False``; raises `FieldError` for other words."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise FieldError(f"{text!r} is neither true nor false")


def read_int(text: str) -> int:
    """A signed decimal number of 64 bits; raises `FieldError` for anything else."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits.isascii() and digits.isdigit() and len(digits.lstrip("0")) <= _LONGEST_INT64:
        number = int(text)
        if -(2**63) <= number < 2**63:
            return number
    raise FieldError(f"{text!r} is not a whole number")


def read_uint16(text: str) -> int:
    """An unsigned decimal number below 65536; raises `FieldError` for anything else."""
    if text.isascii() and text.isdigit() and len(text.lstrip("0")) <= 5 and int(text) < 65536:
        return int(text)
    raise FieldError(f"{text!r} is not within 0 to 65535")
