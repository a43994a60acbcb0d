"""What a pod does when an app ends: every combination of up to three apps."""

from __future__ import annotations

import itertools

import pytest

from carob.supervisor import policy

ALIVE = None
WELL = {"end": "exited", "code": 0}
BADLY = [
    {"end": "exited", "code": 1},
    {"end": "signaled", "signal": 9},
    {"end": "out-of-memory", "signal": 9},
    {"end": "unknown", "reason": "?"},
]


@pytest.mark.parametrize("end", BADLY)
def test_everything_but_zero_is_a_failure(end: dict[str, object]) -> None:
    assert policy.failed(end)
    assert not policy.failed(WELL)


@pytest.mark.parametrize("ends", list(itertools.product([ALIVE, WELL, BADLY[0]], repeat=3)))
def test_the_first_failure_ends_a_pod_in_which_others_live(
    ends: tuple[dict[str, object] | None, ...],
) -> None:
    assert policy.must_stop(iter(ends)) == (BADLY[0] in ends and ALIVE in ends)


def test_a_signal_is_lost_where_it_is_neither_caught_nor_blocked() -> None:
    term = 1 << 14
    text = "Name:\tx\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n"
    assert policy.signal_would_be_lost(text.format(0, 0, 0).encode(), 15)
    assert policy.signal_would_be_lost(text.format(1, 1, 1).encode(), 15)
    for caught in ((0, 0, term), (term, 0, 0), (0, term, 0)):
        assert not policy.signal_would_be_lost(text.format(*caught).encode(), 15)
