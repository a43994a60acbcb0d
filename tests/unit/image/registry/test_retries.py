"""When to ask again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.image.registry.limits import Limits
from carob.image.registry.retries import back_off_s, retry_after_s

LIMITS = Limits(first_wait_s=0.5, longest_wait_s=30)


def test_waits_double_up_to_the_longest() -> None:
    assert [back_off_s(failures, LIMITS, lambda: 0.0) for failures in (1, 2, 3, 4)] == [0.5, 1, 2, 4]
    assert back_off_s(10_000, LIMITS, lambda: 0.0) == 30
    assert back_off_s(1, LIMITS, lambda: 1.0) == 0.25


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("120", 120),
        (" 5 ", 5),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0665", None),
        ("Thu, 99 Jan 1970 00:16:50 GMT", None),
        ("9" * 400, 999999999999999),
    ],
)
def test_retry_after(value: str, expected: float | None) -> None:
    assert retry_after_s(value, 1000.0) == expected


@given(value=st.text(max_size=60), now=st.floats(0, 4e9))
def test_no_retry_after_makes_it_fail(value: str, now: float) -> None:
    found = retry_after_s(value, now)
    assert found is None or found >= 0
