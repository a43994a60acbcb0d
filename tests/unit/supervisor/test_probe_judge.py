"""The rules of probes: held against Kubernetes' own, told in another way, over made-up lives of apps."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.protocol.probing import LIVENESS, READINESS, ROLES, STARTUP
from carob.supervisor.probes.judge import FIRST_PAUSE_S, Probe, Run

START = 1000.0


def plan(**changes: Any) -> dict[str, Any]:
    return {"delay_s": 0.0, "period_s": 10.0, "timeout_s": 1.0, "successes": 1, "failures": 3, **changes}


PLANS = st.builds(
    plan,
    delay_s=st.sampled_from([0.0, 0.5, 7.0]),
    period_s=st.sampled_from([0.1, 1.0, 10.0]),
    failures=st.integers(1, 4),
)
READINESS_PLANS = st.builds(lambda made, most: {**made, "successes": most}, PLANS, st.integers(1, 3))
ALL_PLANS = st.fixed_dictionaries(
    {}, optional={STARTUP: PLANS, LIVENESS: PLANS, READINESS: READINESS_PLANS}
).filter(bool)
ANSWERS = st.lists(st.tuples(st.sampled_from([True, False, None]), st.floats(0.0, 3.0)), max_size=40)


class Try:
    """One try in a made-up life: when it began and ended, and how."""

    def __init__(self, role: str, began: float, ended: float, ok: bool | None) -> None:
        self.role = role
        self.began = began
        self.ended = ended
        self.ok = ok


def live(run: Run, answers: list[tuple[bool | None, float]]) -> list[Try]:
    """Let the clock run from one thing that is due to the next, each try answered as the list says."""
    under_way: list[Try] = []
    tried: list[Try] = []
    now = START
    left = list(answers)
    while True:
        for role in run.due(now):
            if not left:
                return tried
            ok, takes_s = left.pop(0)
            run.probes[role].begin(now)
            under_way.append(Try(role, now, now + takes_s, ok))
            assert len({one.role for one in under_way}) == len(under_way), "one try of a probe at a time"
        moments = [one.ended for one in under_way]
        if (due_at := run.due_at()) is not None:
            moments.append(due_at)
        if not moments:
            return tried
        now = max(now, min(moments))
        for one in [one for one in under_way if one.ended <= now]:
            under_way.remove(one)
            run.take(one.role, one.ok, now)
            tried.append(one)


def told(tries: list[Try], made: dict[str, Any]) -> bool | None:
    """What results in a row say: the last row that is long enough counts."""
    found = None
    known = [one.ok for one in tries if one.ok is not None]
    for ok, row in itertools.groupby(known):
        if len(list(row)) >= made["successes" if ok else "failures"]:
            found = ok
    return found


@given(ALL_PLANS, ANSWERS)
def test_what_it_says_is_what_the_last_results_in_a_row_say(
    plans: dict[str, dict[str, Any]], answers: list[tuple[bool | None, float]]
) -> None:
    run = Run(plans, START)
    tries = live(run, answers)
    of = {role: [one for one in tries if one.role == role] for role in ROLES}
    if LIVENESS in plans:
        assert run.probes[LIVENESS].passing is told(of[LIVENESS], plans[LIVENESS])
    if READINESS in plans and any(one.ok for one in of[READINESS]):
        since = next(index for index, one in enumerate(of[READINESS]) if one.ok)
        after = told(of[READINESS][since:], plans[READINESS])
        before = None if after is not None else run.probes[READINESS].passing
        assert run.probes[READINESS].passing is (before if after is None else after)
    if STARTUP in plans:
        assert run.started is any(one.ok for one in of[STARTUP])


@given(ALL_PLANS, ANSWERS)
def test_who_is_unfit_has_failed_as_often_as_that_takes_and_nothing_is_tried_after(
    plans: dict[str, dict[str, Any]], answers: list[tuple[bool | None, float]]
) -> None:
    run = Run(plans, START)
    tries = live(run, answers)
    if not run.unfit:
        return
    assert run.unfit in (STARTUP, LIVENESS)
    assert not run.ready
    assert run.due(START + 1e6) == []
    assert run.due_at() is None
    made = plans[run.unfit]
    failed = [one for one in tries if one.role == run.unfit and one.ok is not None]
    assert [one.ok for one in failed[-made["failures"] :]] == [False] * made["failures"]
    if run.unfit == STARTUP:
        spent_s = failed[-1].began - failed[0].began
        assert spent_s >= (made["failures"] - 1) * made["period_s"] * 0.999, "it had all of its time"


@given(ALL_PLANS, ANSWERS)
def test_nothing_is_tried_before_its_time(
    plans: dict[str, dict[str, Any]], answers: list[tuple[bool | None, float]]
) -> None:
    run = Run(plans, START)
    tries = live(run, answers)
    started_at = START
    if STARTUP in plans:
        passed = [one.ended for one in tries if one.role == STARTUP and one.ok]
        started_at = passed[0] if passed else float("inf")
    for role, made in plans.items():
        of_role = [one for one in tries if one.role == role]
        first = started_at if role != STARTUP else START
        assert all(one.began >= max(first, START + made["delay_s"]) for one in of_role)
        eager = role != LIVENESS
        for one, following in itertools.pairwise(of_role):
            eager = eager and not one.ok
            least_s = min(FIRST_PAUSE_S, made["period_s"]) if eager else made["period_s"]
            assert following.began - one.began >= least_s * 0.999
            assert following.began >= one.ended
    if run.ready:
        assert run.started
        assert READINESS not in plans or run.probes[READINESS].passing


@given(ALL_PLANS, ANSWERS, st.floats(0.0, 1000.0))
def test_a_pause_puts_all_off_and_changes_nothing(
    plans: dict[str, dict[str, Any]], answers: list[tuple[bool | None, float]], length_s: float
) -> None:
    run = Run(plans, START)
    tries = live(run, answers)
    now = max([START, *(one.ended for one in tries)])
    due_at = {role: probe.due_at for role, probe in run.probes.items()}
    said = run.ready, run.unfit, run.started
    run.pause(now)
    assert run.due(now + 1e9) == []
    assert run.due_at() is None
    run.resume(now + length_s)
    assert (run.ready, run.unfit, run.started) == said
    for role, probe in run.probes.items():
        before = due_at[role]  # of one that was under way: none
        assert probe.due_at == pytest.approx((now if before is None else before) + length_s)


def test_before_it_has_ever_passed_it_is_tried_sooner() -> None:
    probe = Probe(READINESS, plan(), START)
    pauses = []
    for _ in range(8):
        now = probe.due_at
        assert now is not None
        probe.begin(now)
        assert probe.due_at is None
        probe.take(False, now)
        assert probe.due_at is not None
        pauses.append(round(probe.due_at - now, 3))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
    assert probe.passing is None, "of those within a period one counts: two have, and three are needed"


def test_a_start_that_takes_long_is_told_apart_from_one_that_fails() -> None:
    run = Run({STARTUP: plan(period_s=1.0, failures=5), LIVENESS: plan()}, START)
    tries = live(run, [(False, 0.0)] * 30)
    assert run.unfit == STARTUP
    assert tries[-1].began - START >= 4.0
    run = Run({STARTUP: plan(period_s=1.0, failures=5), LIVENESS: plan()}, START)
    live(run, [(False, 0.0)] * 5 + [(True, 0.0)])
    assert (run.started, run.ready, run.unfit) == (True, True, "")
