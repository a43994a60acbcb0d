"""Figures of control groups, from files such as the kernel shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from carob.linux import cgroup, cgroup_usage


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
    group = {
        "cgroup__procs": "", "cpu__stat": "usage_usec 1500\nuser_usec 1000\n", "memory__current": "1000\n",
        "memory__max": "max\n", "memory__stat": "anon 5\ninactive_file 300\n", "pids__current": "3\n",
        "pids__max": "100\n", "io__stat": "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2 rios=1\n",
    }  # fmt: skip
    put(top / "carob" / "pod", **group)
    usage = cgroup_usage.read("/carob/pod")
    assert usage is not None
    assert (usage.cpu_ns, usage.memory_bytes, usage.working_set_bytes) == (1_500_000, 1000, 700)
    assert (usage.memory_limit_bytes, usage.pids, usage.pids_limit) == (None, 3, 100)
    assert (usage.io_read_bytes, usage.io_written_bytes) == (11, 22)


def test_v1_and_what_is_not_counted_there(top: Path) -> None:
    for name in ("cpu,cpuacct", "memory", "pids"):
        put(top / name, cgroup__procs="")
    put(top / "cpu,cpuacct" / "carob", cgroup__procs="", cpuacct__usage="42\n")
    put(
        top / "memory" / "carob", cgroup__procs="", memory__usage_in_bytes="500",
        memory__limit_in_bytes="9223372036854771712", memory__stat="cache 1\ntotal_inactive_file 600\n",
    )  # fmt: skip
    usage = cgroup_usage.read("/carob")
    assert usage is not None
    assert (usage.cpu_ns, usage.memory_bytes, usage.working_set_bytes) == (42, 500, 0)
    assert (usage.memory_limit_bytes, usage.pids, usage.io_read_bytes) == (None, None, None)


def test_a_group_that_is_not_there(top: Path) -> None:
    put(top / "memory", cgroup__procs="")
    assert cgroup_usage.read("/carob") is None
