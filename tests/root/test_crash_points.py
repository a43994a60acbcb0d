"""A few crash points of each process; `make crash-test` tries all (`tests.crash`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.__main__ import try_one
from tests.crash.operations import OPERATIONS
from tests.crash.points import Point
from tests.crash.world import World
from tests.needs import require_command, require_root


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    require_root()
    require_command("crun")
    made = World(tmp_path_factory.mktemp("crash") / "world")
    try:
        made.make()
        yield made
    finally:
        made.remove()


@pytest.mark.parametrize(
    ("operation", "role", "numbers"),
    [
        ("run", "caller", (20, 45)),
        ("run", "monitor", (5, 20, 40)),
        ("run", "init", (10, 70, 110)),
        ("run", "runtime", (30, 150)),
        ("run --detach", "caller", (25,)),
        ("stop a paused one", "init", (3,)),
        ("rm --force", "caller", (5, 20)),
        ("gc", "caller", (10, 60)),
        ("image import", "caller", (10,)),
    ],
)
def test_nothing_is_lost_stuck_or_left(
    world: World, operation: str, role: str, numbers: tuple[int, ...]
) -> None:
    results = [try_one(world, OPERATIONS[operation], Point(role, number)) for number in numbers]
    assert [one["violation"] for one in results] == [""] * len(numbers)
    assert any(one["call"] for one in results), "none of these points was reached: count them anew"
