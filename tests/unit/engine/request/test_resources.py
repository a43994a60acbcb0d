"""Limits as callers ask for them, and as they become files of v1 and v2 and the runtime's document."""

from __future__ import annotations

from typing import Any

import pytest

from carob.engine.request.resources import Resources
from carob.errors import InvalidInput
from carob.linux import limits
from carob.runtime.resources import section


def test_cpus_are_a_quota_of_the_usual_period() -> None:
    assert Resources(cpus=1.5).given() == {"cpu_quota_us": 150_000, "cpu_period_us": 100_000}
    assert Resources(cpu_quota_us=5000, cpu_period_us=10_000).cpus == 0.5
    assert Resources(cpus=-1).cpus is None
    assert Resources(cpus=1) == Resources(cpu_quota_us=100_000, cpu_period_us=100_000)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"cpus": 0}, "from 0.01"),
        ({"cpus": float("nan")}, "from 0.01"),
        ({"cpus": "2"}, "a number of processors"),
        ({"cpus": True}, "a number of processors"),
        ({"cpus": 1, "cpu_quota_us": 5000}, "one of the two"),
        ({"cpu_quota_us": 999}, "from 1000"),
        ({"cpu_shares": 1}, "from 2 to 262144"),
        ({"cpuset_cpus": "3-1"}, "a list of numbers and ranges"),
        ({"cpuset_cpus": "0,"}, "a list of numbers and ranges"),
        ({"cpuset_cpus": "0\n1"}, "a list of numbers and ranges"),
        ({"memory_bytes": 5 << 20}, "memory_bytes is from"),
        ({"memory_bytes": 1.5e9}, "a whole number"),
        ({"memory_swap_bytes": 1 << 30}, "goes with memory_bytes"),
        ({"memory_bytes": 1 << 30, "memory_swap_bytes": 1 << 29}, "is less than the memory"),
        ({"memory_bytes": 1 << 29, "memory_reservation_bytes": 1 << 30}, "is more than the memory"),
        ({"pids": 0}, "pids is from 1"),
        ({"io_weight": 9}, "from 10 to 1000"),
        ({"io_max": {"/dev/sda": {"speed": 1}}}, "no rate 'speed'"),
        ({"io_max": {"/dev/sda": {}}}, "no rate for"),
        ({"io_max": {"sda": {"rbps": 1}}}, "an absolute path"),
        ({"io_max": ["/dev/sda"]}, "a mapping"),
        ({"hugepages": {"2M": 1 << 21}}, "no size of pages"),
        ({"hugepages": {"2MB": 1}}, "no whole number of pages"),
    ],
)
def test_what_is_wrong_is_told_at_once(words: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Resources(**words)


SETTLED = {
    "cpu_quota_us": 50_000, "cpu_period_us": 100_000, "cpu_shares": 1024, "cpuset_cpus": "0-1",
    "memory_bytes": 1 << 26, "memory_swap_bytes": 3 << 26, "memory_reservation_bytes": 1 << 25, "pids": 7,
    "io_weight": 500, "io_max": {"8:0": {"wbps": 100, "riops": 5}}, "hugepages": {"2MB": 1 << 22},
}  # fmt: skip


def written(version: Any, settled: dict[str, Any]) -> dict[str, str]:
    return {file: text for _, _, file, text in version(settled)}


def test_the_files_of_v2() -> None:
    assert written(limits.v2, SETTLED) == {
        "cpu.max": "50000 100000",
        "cpu.weight": "39",
        "cpuset.cpus": "0-1",
        "memory.max": str(1 << 26),
        "memory.swap.max": str(2 << 26),
        "memory.low": str(1 << 25),
        "pids.max": "7",
        "io.weight": "default 4950",
        "io.max": "8:0 wbps=100 riops=5",
        "hugetlb.2MB.max": str(1 << 22),
    }
    assert written(limits.v2, {"memory_bytes": -1, "memory_swap_bytes": -1, "pids": -1}) == {
        "memory.max": "max",
        "memory.swap.max": "max",
        "pids.max": "max",
    }
    assert written(limits.v2, {"cpu_quota_us": -1}) == {"cpu.max": "max 100000"}


def test_the_files_of_v1() -> None:
    found = written(limits.v1, SETTLED)
    assert {name: text for name, text in found.items() if not name.startswith("blkio")} == {
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "50000",
        "cpu.shares": "1024",
        "cpuset.cpus": "0-1",
        "memory.limit_in_bytes": str(1 << 26),
        "memory.memsw.limit_in_bytes": str(3 << 26),
        "memory.soft_limit_in_bytes": str(1 << 25),
        "pids.max": "7",
        "hugetlb.2MB.limit_in_bytes": str(1 << 22),
    }
    assert found["blkio.throttle.write_bps_device"] == "8:0 100"
    assert found["blkio.throttle.read_iops_device"] == "8:0 5"


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262144, 10000)])
def test_shares_become_a_weight_as_the_runtimes_reckon(shares: int, weight: int) -> None:
    assert limits.weight_of(shares) == weight


@pytest.mark.parametrize(("old", "new"), [(10, 1), (500, 4950), (1000, 10000)])
def test_a_weight_of_v1_becomes_one_of_v2(old: int, new: int) -> None:
    assert limits.io_weight_of(old) == new


def test_the_runtimes_document() -> None:
    assert section(SETTLED) == {
        "cpu": {"shares": 1024, "quota": 50_000, "period": 100_000, "cpus": "0-1"},
        "memory": {"limit": 1 << 26, "swap": 3 << 26, "reservation": 1 << 25},
        "pids": {"limit": 7},
        "blockIO": {
            "weight": 500,
            "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 100}],
            "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 5}],
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1 << 22}],
    }
    assert section({}) == {}
