"""Limits of plain users' pods: in control groups that are delegated to the user, and refused without."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carob.linux import cgroup
from tests.needs import impossible_here, require
from tests.root.test_rootless import START
from tests.root.test_rootless import root_tar as root_tar  # noqa: PLC0414 - a fixture
from tests.root.test_unpack_userns import Account
from tests.root.test_unpack_userns import user as user  # noqa: PLC0414 - a fixture

STORY = (
    START
    + """
import subprocess
from carob import Resources
MB = 1 << 20
group, refusing = sys.argv[4], sys.argv[5] == "no memory"

def of_pod(pod):
    with open(f"/proc/{pod.status().pid}/cgroup") as file:
        return sorted({line.rpartition(":")[2].strip().partition("/carob/")[0] for line in file
                       if pod.uuid in line})

pod = engine.run(sh("sleep 1000 & exec sleep 1000"))
told["group"] = of_pod(pod)
stats = pod.stats()
told["stats"] = [stats.is_summed, stats.total.cpu_ns is not None, stats.total.memory_bytes, stats.total.pids]
told["top"] = sorted(one.command for one in pod.top())
if group:
    pod.pause()
    told["paused"] = [str(app.state) for app in pod.status().apps]
    pod.stop(grace_s=0)
    told["stopped"] = [str(end) for end in pod.wait().apps.values()]
else:
    told["paused"] = refused(pod.pause)
    told["update"] = refused(lambda: pod.update(Resources(memory_bytes=64 * MB)))
    command = [sys.executable, "-m", "carob", "--dir", engine.data_dir, "stats", "--no-stream"]
    told["shown"] = subprocess.run(command, env={"PYTHONPATH": sys.path[0], "HOME": "/"},
                                   capture_output=True, text=True).stdout
pod.remove(force=True)

limited = sh("sleep 1000", resources=Resources(memory_bytes=32 * MB, pids=50))
if refusing:
    told["refused"] = refused(lambda: engine.run(limited))
else:
    pod = engine.run(limited, resources=Resources(memory_bytes=64 * MB, cpus=0.5))
    told["limits"] = [pod.stats().total.memory_limit_bytes, pod.stats().apps["busybox"].memory_limit_bytes]
    pod.update(Resources(memory_bytes=24 * MB), app="busybox")
    told["updated"] = pod.stats().apps["busybox"].memory_limit_bytes
    told["more"] = refused(lambda: pod.update(Resources(cpuset_cpus="0"), app="busybox"))
    os.kill(pod.status().pid, 9)
    pod.wait(timeout_s=30)
    hungry = engine.run(App("busybox", ["tail", "/dev/zero"], resources=Resources(memory_bytes=16 * MB)))
    told["hungry"] = str(hungry.wait(timeout_s=60).apps["busybox"])
told["parent"] = refused(lambda: engine.run(sh("true"), cgroup_parent="/carob-test-of-root"))
told["gc"] = engine.gc(grace_s=0).problems
print(json.dumps(told))
"""
)

V1 = ("cpu", "cpuacct", "freezer", "memory", "pids")
AS_MEMBER = """
for directory in $1; do echo $$ >$directory/cgroup.procs || exit 9; done; shift
exec "$@"
"""
ON_V2 = """
umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup || exit 9
exec "$@"
"""


class Member(Account):
    """The same user, in a control group of the user's own: ``/carob-test-…/own`` below what is delegated."""

    def __init__(self, like: Account, mounted: dict[str, Path], *, on_v2: bool) -> None:
        self.place, self.uid, self.gid = like.place, like.uid, like.gid
        self.data, self.ranges = like.data, like.ranges
        self.group = f"/carob-test-{os.getpid()}"
        self.tops = [path / self.group[1:] for path in mounted.values()]
        self.on_v2 = on_v2
        for top in self.tops:
            (top / "own").mkdir(parents=True)
            for path in (top, *top.glob("cgroup.*"), top / "own", *(top / "own").glob("cgroup.*")):
                os.chown(path, self.uid, self.gid)

    def command(self, program: str, *words: str) -> list[str]:
        joined = " ".join(str(top / "own") for top in self.tops)
        command = ["bash", "-c", AS_MEMBER, "bash", joined, *super().command(program, *words)]
        if self.on_v2:
            at = command.index("unshare", 4)
            command[at:at] = ["unshare", "--mount", "--propagation=private", "bash", "-c", ON_V2, "bash"]
        return command

    def left(self) -> list[str]:
        kept = [str(path) for top in self.tops for path in (top, top / "own")]
        return [path for top in self.tops for path, _, _ in os.walk(top) if path not in kept]

    def remove(self) -> None:
        deadline = time.monotonic() + 20
        for top in self.tops:
            for path, _, _ in os.walk(top, topdown=False):
                while True:
                    try:
                        os.rmdir(path)
                        break
                    except OSError:
                        assert time.monotonic() < deadline, f"{path} is in use"
                        time.sleep(0.01)


@pytest.fixture
def member(user: Account) -> Iterator[Member]:
    """On v1, or where the host is v1 and v2."""
    require(not set(V1) - set(cgroup.hierarchies()), "needs the hierarchies of v1 apart")
    made = Member(user, {name: Path(cgroup.directory(name, "")) for name in V1}, on_v2=False)
    yield made
    made.remove()


@pytest.fixture
def member_of_v2(user: Account) -> Iterator[Member]:
    unified = Path(cgroup.directory(cgroup.UNIFIED, ""))
    if not (unified / "cgroup.procs").exists():
        impossible_here("needs v2 beside v1")
    made = Member(user, {"": unified}, on_v2=True)
    yield made
    made.remove()


def told_by(account: Account, *words: str) -> dict[str, Any]:
    run = account.run(STORY, *words, check=False)
    assert run.returncode == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    assert told["gc"] == []
    assert told["parent"][0] == "NotFound"
    return told


def test_limits_in_a_delegated_group(member: Member, root_tar: str) -> None:
    told = told_by(member, root_tar, member.group, "")
    assert told["group"] == [member.group]
    assert told["stats"][:2] == [False, True]
    assert told["stats"][3] == 3
    assert told["top"] == ["sleep 1000", "sleep 1000"]
    assert told["paused"] == ["paused"]
    assert told["stopped"] == ["Signaled(signal=9)"]
    assert told["limits"] == [64 << 20, 32 << 20]
    assert told["updated"] == 24 << 20
    assert told["more"][0] == "Unsupported"
    assert told["hungry"] == "OutOfMemory()"
    assert member.left() == []


def test_a_delegated_group_without_controllers(member_of_v2: Member, root_tar: str) -> None:
    told = told_by(member_of_v2, root_tar, member_of_v2.group, "no memory")
    assert told["group"] == [member_of_v2.group]
    assert told["stats"][:2] == [False, True]
    assert told["paused"] == ["paused"]
    assert told["stopped"] == ["Signaled(signal=9)"]
    assert told["refused"][0] == "Unsupported"
    assert "memory.max" in told["refused"][1]
    assert member_of_v2.left() == []


def test_without_a_group(user: Account, root_tar: str) -> None:
    told = told_by(user, root_tar, "", "no memory")
    assert told["group"] == []
    is_summed, has_cpu, memory_bytes, pids = told["stats"]
    assert (is_summed, has_cpu, pids) == (True, True, 3)
    assert 0 < memory_bytes < 64 << 20  # not the host's
    assert told["top"] == ["sleep 1000", "sleep 1000"]
    assert told["paused"][0] == "Conflict"
    assert told["update"][0] == "Unsupported"
    assert "no control group" in told["update"][1]
    assert "* no control group: its processes added up" in told["shown"]
    assert told["refused"][0] == "Unsupported"
    assert "carob doctor" in told["refused"][2]
