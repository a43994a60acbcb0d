"""Values of options: durations, numbers, moments."""

from __future__ import annotations

import time

from carob.cli.options import UsageError

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str, name: str) -> float:
    """Seconds from ``90``, ``1.5s``, ``1h30m``, ``250ms``, ``2d``; ``UsageError`` names the option."""
    total, rest = 0.0, text.strip()
    try:
        return _finite(float(rest))
    except ValueError:
        pass
    while rest:
        digits = 0
        while digits < len(rest) and rest[digits] in "0123456789.":
            digits += 1
        letters = digits
        while letters < len(rest) and rest[letters].isalpha():
            letters += 1
        number, unit = rest[:digits], rest[digits:letters]
        try:
            total += float(number) * _UNITS_S[unit]
        except (ValueError, KeyError):
            break
        rest = rest[letters:]
    if rest or not text.strip():
        raise UsageError(f"{name}: {text!r} is no duration", hint="such as 90, 30s, 10m or 1h30m")
    return total


def _finite(number: float) -> float:
    if not 0 <= number < float("inf"):
        raise ValueError(number)
    return number


def count(text: str, name: str) -> int:
    """A number that is not negative."""
    if not text.isdecimal() or not text.isascii():
        raise UsageError(f"{name}: {text!r} is no number")
    return int(text)


def moment_ns(text: str, name: str) -> int:
    """Nanoseconds since 1970 of a duration ago (``10m``), ``@seconds`` since 1970, or an ISO 8601 time.

    A time without an offset is local.
    """
    if text.startswith("@"):
        try:
            return int(_finite(float(text[1:])) * 1e9)
        except ValueError:
            raise UsageError(f"{name}: {text!r} is no time", hint="such as @1700000000") from None
    if "-" not in text:
        return time.time_ns() - int(duration_s(text, name) * 1e9)
    from datetime import datetime

    try:
        return int(datetime.fromisoformat(text).timestamp() * 1e6) * 1000
    except (ValueError, OverflowError):
        raise UsageError(f"{name}: {text!r} is no time", hint="such as 10m or 2024-05-01T12:00:00Z") from None
