"""Values of options: durations, numbers, moments, variables."""

from __future__ import annotations

import os
import time

from carob.cli.options import UsageError

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DIGITS = "0123456789."
_LONGEST_NUMBER = 18
_LAST_NS = (1 << 63) - 1


def duration_s(text: str, name: str) -> float:
    """Seconds from ``90``, ``1.5s``, ``1h30m``, ``250ms``, ``2d``; ``UsageError`` names the option."""
    total, rest = _number(text), text
    if total is not None:
        return total
    total = 0.0
    while rest:
        digits = 0
        while digits < len(rest) and rest[digits] in _DIGITS:
            digits += 1
        letters = digits
        while letters < len(rest) and rest[letters].isalpha():
            letters += 1
        number, unit_s = _number(rest[:digits]), _UNITS_S.get(rest[digits:letters])
        if number is None or unit_s is None:
            break
        total += number * unit_s
        rest = rest[letters:]
    if rest or not text:
        raise UsageError(f"{name}: {text!r} is no duration", hint="such as 90, 30s, 10m or 1h30m")
    return total


def _number(text: str) -> float | None:
    """A number as people write it, ``12`` or ``1.5``; ``None`` for all else that ``float`` takes."""
    if not text or len(text) > _LONGEST_NUMBER or not all(letter in _DIGITS for letter in text):
        return None
    try:
        return float(text)
    except ValueError:
        return None  # "." or "1.2.3"


def count(text: str, name: str) -> int:
    """A number that is not negative."""
    if not text.isdecimal() or not text.isascii() or len(text) > _LONGEST_NUMBER:
        raise UsageError(f"{name}: {text!r} is no number", hint=f"such as {name}=10")
    return int(text)


def variable(text: str, name: str) -> tuple[str, str]:
    """Name and value from ``NAME=VALUE``, or from ``NAME`` alone the caller's own value."""
    key, equals, value = text.partition("=")
    if not key:
        raise UsageError(f"{name}: {text!r} has no name", hint=f"such as {name}=NAME=VALUE")
    if not equals:
        found = os.environ.get(key)
        if found is None:
            raise UsageError(f"{name}: {key} is not set here", hint=f"such as {name}={key}=VALUE")
        return key, found
    return key, value


def moment_ns(text: str, name: str) -> int:
    """Nanoseconds since 1970 of a duration ago (``10m``), ``@seconds`` since 1970, or an ISO 8601 time.

    A time without an offset is local.
    """
    if text.startswith("@"):
        seconds = _number(text[1:])
        if seconds is None:
            raise UsageError(f"{name}: {text!r} is no time", hint="such as @1700000000")
        return min(int(seconds * 1e9), _LAST_NS)
    if "-" not in text:
        return max(0, time.time_ns() - int(duration_s(text, name) * 1e9))
    from datetime import datetime

    try:
        return int(datetime.fromisoformat(text).timestamp() * 1e6) * 1000
    except (ValueError, OverflowError):
        raise UsageError(f"{name}: {text!r} is no time", hint="such as 10m or 2024-05-01T12:00:00Z") from None
