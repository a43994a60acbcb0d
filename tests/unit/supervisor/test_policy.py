"""What becomes of a pod's apps: order, restarts, and the pod's end for every combination of three apps."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from carob.protocol import life
from carob.supervisor import policy

ALIVE = None
WELL: dict[str, Any] = {"end": "exited", "code": 0}
BADLY: list[dict[str, Any]] = [
    {"end": "exited", "code": 1},
    {"end": "signaled", "signal": 9},
    {"end": "out-of-memory", "signal": 9},
    {"end": "unknown", "reason": "?"},
]


@pytest.mark.parametrize("end", BADLY)
def test_everything_but_zero_is_a_failure(end: dict[str, Any]) -> None:
    assert policy.failed(end)
    assert not policy.failed(WELL)


class One:
    """An app, as far as the policy looks at it."""

    def __init__(
        self, role: str, state: str, end: dict[str, Any] | None = None, *, asked: bool = False
    ) -> None:
        self.name = f"{role}-{state}"
        self.role = role
        self.state = state
        self.end = end
        self.asked = asked
        self.started_ns = None if state in (life.CREATED, life.STARTING) else 1


def ended(role: str, end: dict[str, Any], *, asked: bool = False) -> One:
    return One(role, life.ENDED, end, asked=asked)


def running(role: str) -> One:
    return One(role, life.RUNNING)


@pytest.mark.parametrize("ends", list(itertools.product([ALIVE, WELL, BADLY[0]], repeat=3)))
def test_the_first_failure_ends_a_pod_in_which_others_live(ends: tuple[dict[str, Any] | None, ...]) -> None:
    apps = [running("main") if end is None else ended("main", end) for end in ends]
    stops = policy.verdict(apps)
    assert (stops is not None) == (BADLY[0] in ends and ALIVE in ends)
    assert stops is None or stops == ("app failed", "app main-ended failed")


def test_an_end_that_was_asked_for_is_no_failure() -> None:
    apps = [ended("main", BADLY[1], asked=True), running("main")]
    assert policy.verdict(apps) is None
    assert policy.failure(apps) == ""


def test_sidecars_alone_do_not_keep_a_pod() -> None:
    assert policy.verdict([ended("main", WELL), running("sidecar")]) == ("finished", "")
    assert policy.verdict([One("main", life.WAITING), running("sidecar")]) is None
    assert policy.verdict([ended("main", WELL), ended("sidecar", BADLY[1], asked=True)]) is None


def test_a_failing_sidecar_ends_the_pod_as_any_app() -> None:
    apps = [running("main"), ended("sidecar", BADLY[0])]
    assert policy.verdict(apps) == ("app failed", "app sidecar-ended failed")


def test_order_of_starting() -> None:
    first, second = One("init", life.CREATED), One("init", life.CREATED)
    sidecar, main = One("sidecar", life.CREATED), One("main", life.CREATED)
    apps = [main, first, sidecar, second]

    def begin() -> list[object]:
        due = list(policy.next_to_start(apps))
        for one in due:
            one.state = life.STARTING
        return [*due]

    assert begin() == [first]
    assert begin() == [], "one init app at a time"
    first.state, first.started_ns = life.WAITING, 1
    assert begin() == [], "one that is to run again is not done"
    first.state, first.end = life.ENDED, WELL
    assert begin() == [second]
    second.state, second.end, second.started_ns = life.ENDED, BADLY[0], 1
    assert begin() == [], "nothing comes after an init app that failed"
    second.end = WELL
    assert begin() == [sidecar]
    assert begin() == [], "main apps wait until the sidecars run"
    sidecar.state, sidecar.started_ns = life.RUNNING, 1
    assert begin() == [main]
    assert begin() == []


def test_sidecars_are_stopped_last() -> None:
    main, sidecar = running("main"), running("sidecar")
    assert policy.to_stop([sidecar, main]) == [main]
    main.state = life.ENDED
    assert policy.to_stop([sidecar, main]) == [sidecar]
    sidecar.state = life.ENDED
    assert policy.to_stop([sidecar, main]) == []


@pytest.mark.parametrize("end", [WELL, *BADLY])
def test_who_is_started_again(end: dict[str, Any]) -> None:
    well = end is WELL
    assert not policy.Restart(life.NEVER, None).wants(end, "main", 0)
    assert policy.Restart(life.ALWAYS, None).wants(end, "main", 10_000)
    assert policy.Restart(life.ON_FAILURE, None).wants(end, "main", 10_000) == (not well)
    assert policy.Restart(life.ON_FAILURE, 2).wants(end, "main", 1) == (not well)
    assert not policy.Restart(life.ON_FAILURE, 2).wants(end, "main", 2)
    assert policy.Restart(life.ALWAYS, None).wants(end, "init", 0) == (not well), "it is done once"


def test_pauses_double_up_to_a_minute() -> None:
    pauses = [policy.delay_s(streak) for streak in range(2000)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses == sorted(pauses)
    assert set(pauses[10:]) == {60.0}


def test_a_signal_is_lost_where_it_is_neither_caught_nor_blocked() -> None:
    term = 1 << 14
    text = "Name:\tx\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n"
    assert policy.signal_would_be_lost(text.format(0, 0, 0).encode(), 15)
    assert policy.signal_would_be_lost(text.format(1, 1, 1).encode(), 15)
    seen_from_above = b"NSpid:\t4711\t%d\n" + text.format(0, 0, 0).encode()
    assert policy.signal_would_be_lost(seen_from_above % 1, 15)
    assert not policy.signal_would_be_lost(seen_from_above % 12, 15), "in a namespace of the whole pod"
    for caught in ((0, 0, term), (term, 0, 0), (0, term, 0)):
        assert not policy.signal_would_be_lost(text.format(*caught).encode(), 15)
