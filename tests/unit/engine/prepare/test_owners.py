"""Owners as an app in a user namespace sees them."""

from __future__ import annotations

import pytest

from carob.engine.observe.owners import SAME, Owners, parse
from carob.errors import InvalidInput

MAP = parse(b"         0     100000      65536\n     70000          7          1\n")


def test_owners_are_turned_both_ways() -> None:
    owners = Owners(MAP, parse(b"0 200000 10\n"))
    assert owners.inside(100_005, 200_009) == (5, 9)
    assert owners.inside(7, 0) == (70_000, 65_534)  # what is not mapped is nobody
    assert owners.outside(5, 9) == (100_005, 200_009)
    assert owners.outside(70_000, 0) == (7, 200_000)
    with pytest.raises(InvalidInput, match="group 10"):
        owners.outside(0, 10)
    with pytest.raises(InvalidInput, match="user 65536"):
        owners.outside(65_536, 0)


def test_without_a_namespace_they_are_the_same() -> None:
    assert SAME.inside(1, 2) == SAME.outside(1, 2) == (1, 2)
    assert parse(b"0 0 4294967295\n") == [(0, 0, 4294967295)]
