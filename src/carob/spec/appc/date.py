"""Timestamps as appc wants them: RFC 3339 as Go's ``time.Parse`` reads it."""

from __future__ import annotations

from carob.spec.appc.fault import FieldError
from carob.spec.appc.names import Text

_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Date(Text):
    """A point in time, ``YYYY-MM-DDTHH:MM:SS`` and ``Z`` or ``±HH:MM``.

    Read as Go reads it: a fraction of a second is allowed (and dropped), and a one-digit hour; a space
    instead of the ``T`` is not, nor a leap second.
    """

    __slots__ = ()

    @staticmethod
    def _canonical(text: str) -> str:
        try:
            return _canonical_date(text)
        except ValueError as error:
            raise FieldError(f"{text!r} is not an RFC 3339 date: {error}") from None


def _canonical_date(text: str) -> str:
    year, rest = _number(text, 4, 0, 9999), _past(text[4:], "-")
    month, rest = _number(rest, 2, 1, 12), _past(rest[2:], "-")
    leap = month == 2 and (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    day, rest = _number(rest, 2, 1, _MONTH_DAYS[month - 1] + leap), _past(rest[2:], "T")
    hour_digits = 2 if rest[1:2].isascii() and rest[1:2].isdigit() else 1
    hour, rest = _number(rest, hour_digits, 0, 23), _past(rest[hour_digits:], ":")
    minute, rest = _number(rest, 2, 0, 59), _past(rest[2:], ":")
    second, rest = _number(rest, 2, 0, 59), rest[2:]
    if rest[:1] in (".", ",") and rest[1:2].isascii() and rest[1:2].isdigit():
        rest = rest[1:].lstrip("0123456789")
    offset = 0
    if rest != "Z":
        offset = _offset(rest)
    seconds = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    if offset == 0:
        return seconds + "Z"
    hours, minutes = divmod(abs(offset), 60)
    return f"{seconds}{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"


def _offset(text: str) -> int:
    """The minutes of ``±HH:MM``. Go takes up to 24 hours and up to 60 minutes."""
    if len(text) != 6 or text[0] not in "+-" or text[3] != ":":
        raise ValueError(f"bad time zone {text!r}")
    minutes = _number(text[1:], 2, 0, 24) * 60 + _number(text[4:], 2, 0, 60)
    return -minutes if text[0] == "-" else minutes


def _number(text: str, width: int, least: int, most: int) -> int:
    digits = text[:width]
    if len(digits) != width or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{width} digits are missing at {text!r}")
    if not least <= int(digits) <= most:
        raise ValueError(f"{digits} is not within {least} to {most}")
    return int(digits)


def _past(text: str, separator: str) -> str:
    if text[:1] != separator:
        raise ValueError(f"{separator!r} is missing at {text!r}")
    return text[1:]
