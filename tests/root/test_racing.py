"""A short race of random verbs, and some of broken engines, which are found; `make race-test` goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.world import World
from tests.needs import require_command, require_root
from tests.racing.mutants import MUTANTS
from tests.racing.race import Race, judge


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    require_root()
    require_command("crun")
    made = World(tmp_path_factory.mktemp("racing") / "world")
    try:
        made.make()
        yield made
    finally:
        made.remove()


def test_one_order_explains_what_racing_callers_see(world: World) -> None:
    race = Race(world, workers=5, seed=7)
    calls = race.run(3, at_least=150)
    wrong, counts = judge(calls)
    race.clean()
    assert wrong + race.troubles == []
    assert counts["pod"] > 2
    assert len({call.verb for call in calls}) > 10


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_engine_is_found(world: World, mutant: str) -> None:
    """In a few seconds, whatever the seed: what it breaks happens all the time."""
    _, weights = MUTANTS[mutant]
    for seed in range(5):
        race = Race(world, workers=4, seed=seed, weights=weights, program=("tests.racing.mutants", mutant))
        wrong, _ = judge(race.run(1, at_least=80))
        race.clean()
        if wrong:
            return
    pytest.fail("no round showed anything wrong")
