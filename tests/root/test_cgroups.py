"""A group goes with all below it, however it looks in each hierarchy; what is in use is told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.linux import cgroup
from tests.needs import require, require_root
from tests.root import host_view

GROUP = f"/carob-test-{os.getpid()}/pod"


@pytest.fixture
def group() -> Iterator[list[str]]:
    """The group's directory in each hierarchy that has pods."""
    require_root()
    require(any(map(cgroup.holds_pods, cgroup.hierarchies())), "needs cgroups")
    yield [cgroup.directory(name, GROUP) for name in cgroup.create(GROUP)]
    cgroup.remove(GROUP)


def left() -> list[str]:
    return host_view.cgroups(GROUP.split("/")[1])


def test_groups_of_different_shapes_are_removed(group: list[str]) -> None:
    os.makedirs(f"{group[0]}/app/below")
    for directory in group[1:]:
        os.mkdir(f"{directory}/other")
    os.makedirs(f"{group[-1]}/app/elsewhere/deep", exist_ok=True)
    assert cgroup.remove(GROUP) == []
    assert left() == []
    assert cgroup.remove(GROUP) == []


def test_a_group_in_use_stays_and_is_named(group: list[str]) -> None:
    for directory in group:
        os.mkdir(f"{directory}/app")
    with subprocess.Popen(["sleep", "60"]) as process:
        with open(f"{group[-1]}/app/cgroup.procs", "w") as file:
            file.write(str(process.pid))
        assert f"{group[-1]}/app" in cgroup.remove(GROUP)
        assert os.path.isdir(f"{group[-1]}/app")
        process.kill()
    assert cgroup.remove(GROUP) == []
    assert left() == []


def test_racing_callers_all_get_groups_with_processors() -> None:
    """Others remove the group above whenever it is empty, and some are not done yet with what they made."""
    require_root()
    require("cpuset" in cgroup.hierarchies(), "on v2 there is nothing to hand down")
    top = f"/carob-test-{os.getpid()}"

    def work(number: int) -> None:
        for attempt in range(100):
            group = f"{top}/{number}-{attempt}"
            cgroup.create(group, ["cpuset"])
            for file in ("cpuset.cpus", "cpuset.mems"):
                assert Path(f"{cgroup.directory('cpuset', group)}/{file}").read_text().strip()
            assert cgroup.remove(group) == []
            cgroup.remove_parent(top)

    racers = []
    for number in range(6):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(number)
                status = 0
            finally:
                os._exit(status)
        racers.append(child)
    try:
        assert [os.waitpid(child, 0)[1] for child in racers] == [0] * len(racers)
    finally:
        cgroup.remove_parent(top)
