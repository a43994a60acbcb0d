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
def test_a_pod_finishes_with_its_last_app_and_stops_with_the_first_failure(ends: tuple[object, ...]) -> None:
    decision = policy.after_end(list(ends))  # type: ignore[arg-type]
    if ALIVE not in ends:
        assert decision == policy.FINISH
    elif BADLY[0] in ends:
        assert decision == policy.STOP
    else:
        assert decision == policy.CONTINUE


def test_a_signal_is_lost_where_it_is_neither_caught_nor_blocked() -> None:
    term = 1 << 14
    status = "Name:\tx\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n"
    assert policy.signal_would_be_lost(status.format(0, 0, 0), 15)
    assert policy.signal_would_be_lost(status.format(1, 1, 1), 15)
    for caught in ((0, 0, term), (term, 0, 0), (0, term, 0)):
        assert not policy.signal_would_be_lost(status.format(*caught), 15)
