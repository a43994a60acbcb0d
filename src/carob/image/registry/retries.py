"""When to ask again: pure arithmetic."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.image.registry.limits import Limits

AGAIN = frozenset((408, 429, 500, 502, 503, 504))
"""Statuses that pass with time (RFC 9110, 15.5 and 15.6; RFC 6585)."""


def back_off_s(failures: int, limits: Limits, random: Callable[[], float]) -> float:
    """How long to wait after so many failures, one or more: doubled each time, and less up to half by
    chance, so that many callers do not come back as one. ``random`` gives numbers from 0 to 1.
    """
    whole_s = min(limits.first_wait_s * (1 << min(failures - 1, 30)), limits.longest_wait_s)
    return whole_s * (1 - random() / 2)


def retry_after_s(value: str, now_s: float) -> float | None:
    """The seconds that a ``Retry-After`` asks for (RFC 9110, 10.2.3), a number or a date; ``None`` where it
    is neither. ``now_s`` is the time since the epoch.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:15])
    if not value:
        return None
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(value[:100])
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now_s)
    except (ValueError, OverflowError, TypeError):
        return None
