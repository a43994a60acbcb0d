"""Groups by path and slices by name, where systemd has them (systemd.slice(5))."""

from __future__ import annotations

import pytest

from carob.engine.request import shared
from carob.errors import InvalidInput


@pytest.mark.parametrize(
    ("given", "group"),
    [
        ("/machine.slice", "/machine.slice"),
        ("/a/b/", "/a/b"),
        ("/", ""),
        ("machine.slice", "/machine.slice"),
        ("user-1000.slice", "/user.slice/user-1000.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
        ("-.slice", ""),
    ],
)
def test_where_it_is(given: str, group: str) -> None:
    assert shared.cgroup_parent(given) == group


@pytest.mark.parametrize(
    "given",
    [
        "machine",
        "a/b.slice",
        "--.slice",
        "-a.slice",
        "a-.slice",
        "a--b.slice",
        ".slice",
        "a b.slice",
        "/../x",
    ],
)
def test_what_is_none(given: str) -> None:
    with pytest.raises(InvalidInput, match=r"no control group|no name of a slice"):
        shared.cgroup_parent(given)


def test_a_split_goes_without_a_parent() -> None:
    assert shared.cgroups("split", "") == "split"
    assert shared.cgroups("enabled", "/a") == "enabled"
    with pytest.raises(InvalidInput, match="not both"):
        shared.cgroups("split", "/a")
    with pytest.raises(InvalidInput, match="cgroups is not 'no-conmon'"):
        shared.cgroups("no-conmon", "")
