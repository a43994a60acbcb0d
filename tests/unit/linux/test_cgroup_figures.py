"""All figures of control groups, from files such as the kernel shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from carob.linux import cgroup, cgroup_figures


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroup, "MOUNT_POINT", str(tmp_path))
    return tmp_path


def put(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


def test_v2(top: Path) -> None:
    put(top, cgroup__controllers="cpu memory", cgroup__procs="")
    put(
        top / "carob",
        cgroup__procs="7\n8\n",
        cpu__stat="usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n"
        "nr_periods 4\nnr_throttled 1\nthrottled_usec 9\n",
        cpu__max="20000 50000\n",
        cpu__weight="100\n",
        memory__current="1000\n",
        memory__peak="2000\n",
        memory__max="max\n",
        memory__low="10\n",
        memory__swap__current="5\n",
        memory__swap__max="max\n",
        memory__stat="anon 5\nfile 6\nkernel 7\nfile_mapped 8\npgfault 9\npgmajfault 1\ninactive_file 300\n",
        memory__events="low 0\nmax 2\noom_kill 3\n",
        pids__current="6\n",
        pids__max="max\n",
        io__stat="8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0\n",
    )
    assert cgroup_figures.read("/carob") == {
        "cpu_ns": 1_500_000, "cpu_user_ns": 1_000_000, "cpu_system_ns": 500_000,
        "periods": 4, "throttled_periods": 1, "throttled_ns": 9000,
        "cpu_period_us": 50000, "cpu_quota_us": 20000, "cpu_shares": 2597,
        "memory_bytes": 1000, "memory_max_bytes": 2000, "working_set_bytes": 700, "cache_bytes": 6,
        "rss_bytes": 5, "kernel_bytes": 7, "mapped_bytes": 8, "swap_bytes": 5,
        "memory_limit_bytes": 0, "memory_reservation_bytes": 10, "memory_swap_limit_bytes": 0,
        "limit_hits": 2, "faults": 9, "major_faults": 1, "oom_kills": 3,
        "threads": 6, "threads_limit": 0, "processes": 2,
    }  # fmt: skip
    (disk,) = cgroup_figures.block_use("/carob")
    assert (disk.device, disk.read_bytes, disk.written_bytes, disk.reads, disk.writes) == (
        "8:0",
        10,
        20,
        1,
        2,
    )


def test_v1_has_the_same_names(top: Path) -> None:
    for name in ("cpu,cpuacct", "memory", "pids", "blkio"):
        put(top / name, cgroup__procs="")
    put(
        top / "cpu,cpuacct/carob", cgroup__procs="9\n", cpuacct__usage="42\n", cpuacct__usage_user="40\n",
        cpuacct__usage_sys="2\n", cpu__stat="nr_periods 3\nnr_throttled 0\nthrottled_time 8\n",
        cpu__cfs_period_us="100000\n", cpu__cfs_quota_us="-1\n", cpu__shares="1024\n",
    )  # fmt: skip
    put(
        top / "memory/carob", cgroup__procs="9\n", memory__usage_in_bytes="500\n",
        memory__limit_in_bytes="9223372036854771712\n", memory__failcnt="1\n",
        memory__stat="cache 1\ntotal_cache 3\ntotal_inactive_file 600\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    )  # fmt: skip
    put(
        top / "blkio/carob",
        blkio__throttle__io_service_bytes_recursive="8:0 Read 10\n8:0 Write 20\n8:0 Total 30\nTotal 30\n",
        blkio__throttle__io_serviced_recursive="8:0 Read 1\n8:0 Write 2\nTotal 3\n",
    )
    found = cgroup_figures.read("/carob")
    assert found is not None
    assert "cpu_quota_us" not in found
    assert (found["cpu_ns"], found["throttled_ns"], found["cpu_shares"]) == (42, 8, 1024)
    assert (found["memory_bytes"], found["working_set_bytes"], found["memory_limit_bytes"]) == (500, 0, 0)
    assert (found["cache_bytes"], found["limit_hits"], found["oom_kills"]) == (3, 1, 4)
    assert "threads" not in found
    (disk,) = cgroup_figures.block_use("/carob")
    assert (disk.read_bytes, disk.written_bytes, disk.reads, disk.writes) == (10, 20, 1, 2)


def test_a_group_that_is_not_there(top: Path) -> None:
    put(top / "memory", cgroup__procs="")
    assert cgroup_figures.read("/carob") is None
    assert cgroup_figures.members("/carob") == []
    assert cgroup_figures.block_use("/carob") == []
