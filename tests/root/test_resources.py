"""Limits of apps and pods: in the kernel's own files, held against who takes all, changed later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob import App, Engine, Exited, OutOfMemory, PodHandle, Resources
from carob.engine.images.collection import Images
from carob.engine.prepare import isolation
from carob.engine.rkt.manifest import request
from carob.errors import CarobError, Conflict, InvalidInput, NotFound, Unsupported
from carob.linux import cgroup, limits
from tests.needs import require, require_command
from tests.root import host_view

SOON_S = 60
FOREVER = ["sleep", "1000"]
RUNTIMES = ("crun", "runc")
MIB = 1 << 20
EATER = ["sh", "-c", "a=x; while :; do a=$a$a; done"]


def of_v1(controller: str) -> str:
    hierarchy = limits.hierarchy_of(controller)
    require(hierarchy, f"needs the {controller} controller of cgroup v1")
    assert hierarchy is not None
    return hierarchy


def held(pod: PodHandle, app: str, controller: str, file: str, above: str = "") -> str:
    """What the kernel says of an app's limit, or with ``""`` of the pod's."""
    group = cgroup.directory(of_v1(controller), f"{above}/carob/{pod.uuid}/{app}")
    return Path(group, file).read_text().strip()


@pytest.fixture(autouse=True)
def v1() -> None:
    require(cgroup.hierarchies() != [cgroup.V2], "reads the files of cgroup v1")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_kernel_has_the_limits_of_apps_and_of_the_pod(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    own = Resources(
        memory_bytes=64 * MIB, memory_swap_bytes=80 * MIB, memory_reservation_bytes=16 * MIB, cpus=0.5,
        cpu_shares=512, pids=50, cpuset_cpus="0", cpuset_mems="0",
    )  # fmt: skip
    whole = Resources(memory_bytes=256 * MIB, cpus=1, pids=200, cpu_shares=2048, cpuset_cpus="0")
    apps = [
        App("busybox", FOREVER, name="one", resources=own),
        App("busybox", FOREVER, name="two"),
        App("busybox", FOREVER, name="three", resources=Resources(pids=-1)),
    ]
    with engine.run(*apps, runtime=runtime, resources=whole) as pod:
        expected = {
            ("one", "memory", "memory.limit_in_bytes"): str(64 * MIB),
            ("one", "memory", "memory.memsw.limit_in_bytes"): str(80 * MIB),
            ("one", "memory", "memory.soft_limit_in_bytes"): str(16 * MIB),
            ("one", "cpu", "cpu.cfs_quota_us"): "50000",
            ("one", "cpu", "cpu.cfs_period_us"): "100000",
            ("one", "cpu", "cpu.shares"): "512",
            ("one", "pids", "pids.max"): "50",
            ("two", "pids", "pids.max"): str(isolation.PIDS),
            ("three", "pids", "pids.max"): str(1 << 22),
            ("two", "cpu", "cpu.cfs_quota_us"): "-1",
            ("", "memory", "memory.limit_in_bytes"): str(256 * MIB),
            ("", "memory", "memory.memsw.limit_in_bytes"): str(512 * MIB),
            ("", "cpu", "cpu.cfs_quota_us"): "100000",
            ("", "cpu", "cpu.shares"): "2048",
            ("", "pids", "pids.max"): "200",
        }
        assert {key: held(pod, *key) for key in expected} == expected
        for app in ("one", "two"):
            said = pod.exec(["grep", "Cpus_allowed_list", "/proc/self/status"], app=app, text=True).stdout
            assert said.split() == ["Cpus_allowed_list:", "0"]
    host_view.nothing_left(engine.data_dir, pod.uuid)


def disk() -> str:
    """A whole disk of this machine."""
    for name in sorted(os.listdir("/sys/block")):
        if os.path.exists(f"/dev/{name}") and not name.startswith(("loop", "zram", "ram")):
            return f"/dev/{name}"
    require(False, "needs a disk")
    raise AssertionError


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_rates_of_a_disk(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    path = disk()
    found = os.stat(path).st_rdev
    number = f"{os.major(found)}:{os.minor(found)}"
    own = Resources(io_max={path: {"wbps": 10 * MIB, "riops": 1000}})
    with engine.run(App("busybox", FOREVER, resources=own), runtime=runtime) as pod:
        assert held(pod, "busybox", "blkio", "blkio.throttle.write_bps_device") == f"{number} {10 * MIB}"
        assert held(pod, "busybox", "blkio", "blkio.throttle.read_iops_device") == f"{number} 1000"


def test_who_writes_to_a_disk_with_a_rate_is_held_to_it(engine: Engine) -> None:
    path, wanted = disk(), 8 * MIB
    data = os.stat(engine.data_dir).st_dev
    require(os.stat(path).st_rdev == data, "needs a data directory that is on the disk itself")
    script = "dd if=/dev/zero of=/file bs=1M count=6 oflag=direct"
    app = App("busybox", ["sh", "-c", script], resources=Resources(io_max={path: {"wbps": wanted}}))
    with engine.run(app) as pod:
        begun_ns = pod.status().app("busybox").started_ns
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
        ended_ns = pod.status().app("busybox").finished_ns
        assert begun_ns is not None
        assert ended_ns is not None
        # No machine makes it quicker: what the rate allows at once is less than half of it.
        assert ended_ns - begun_ns > 6 * MIB / wanted / 2 * 1e9


def test_a_weight_of_the_pod_and_what_crun_cannot_write(engine: Engine) -> None:
    weight = limits.writes({"io_weight": 100})[0]
    require(weight.hierarchy is not None, "needs the blkio controller")
    with engine.run(App("busybox", FOREVER), resources=Resources(io_weight=100)) as pod:
        assert held(pod, "", "blkio", weight.file).removeprefix("default ") == "100"
    if weight.file == "blkio.bfq.weight":
        with pytest.raises(Unsupported, match="crun cannot write"):
            engine.prepare(App("busybox", ["true"], resources=Resources(io_weight=100)), runtime="crun")


# --- held against who takes all --------------------------------------------------------------------


@pytest.fixture
def neighbour(engine: Engine) -> Iterator[PodHandle]:
    with engine.run(App("busybox", FOREVER, resources=Resources(pids=20))) as pod:
        yield pod
        pod.exec(["true"], check=True, timeout_s=SOON_S)
        assert str(pod.status().state) == "running"


@pytest.mark.parametrize("whose", ["the app's", "the pod's"])
def test_who_fills_its_memory_is_killed_for_that_and_nobody_else(
    engine: Engine, neighbour: PodHandle, whose: str
) -> None:
    limit = Resources(memory_bytes=24 * MIB, memory_swap_bytes=24 * MIB)
    own, whole = (limit, None) if whose == "the app's" else (None, limit)
    with engine.run(App("busybox", EATER, resources=own), resources=whole) as pod:
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": OutOfMemory()}
    neighbour.exec(["true"], check=True, timeout_s=SOON_S)


def test_a_fork_bomb_ends_at_its_limit_and_its_pod_can_be_entered_after_an_update(
    engine: Engine, neighbour: PodHandle
) -> None:
    app = App("busybox", FOREVER, resources=Resources(pids=40))
    with engine.run(app) as pod:
        with pod.start(["sh", "-c", "while :; do sleep 1000 & done"]) as bomb:
            bomb.wait()
        host_view.eventually("it is full", lambda: held(pod, "busybox", "pids", "pids.current") >= "38")
        neighbour.exec(["true"], check=True, timeout_s=SOON_S)
        pod.update(Resources(pids=80), app="busybox")
        pod.exec(["true"], check=True, timeout_s=SOON_S)
        pod.stop(grace_s=0)
    host_view.nothing_left(engine.data_dir, pod.uuid)


def test_who_takes_all_the_processor_gets_its_part(engine: Engine) -> None:
    busy = ["sh", "-c", "while :; do :; done"]
    with engine.run(App("busybox", busy, resources=Resources(cpus=0.1))) as pod:

        def throttled() -> bool:
            said = held(pod, "busybox", "cpu", "cpu.stat").split()
            return int(said[said.index("nr_throttled") + 1]) > 2

        host_view.eventually("it was held back", throttled)


# --- changed later ---------------------------------------------------------------------------------


def test_limits_change_while_it_runs_and_what_is_not_named_stays(engine: Engine) -> None:
    app = App("busybox", FOREVER, resources=Resources(memory_bytes=32 * MIB, pids=50))
    with engine.run(app, resources=Resources(cpus=1)) as pod:
        pod.update(Resources(memory_bytes=64 * MIB, cpus=0.5), app="busybox")
        pod.update(Resources(memory_bytes=48 * MIB, cpu_shares=100), app="busybox")
        pod.update(Resources(pids=500))
        expected = {
            ("busybox", "memory", "memory.limit_in_bytes"): str(48 * MIB),
            ("busybox", "memory", "memory.memsw.limit_in_bytes"): str(96 * MIB),
            ("busybox", "cpu", "cpu.cfs_quota_us"): "50000",
            ("busybox", "cpu", "cpu.shares"): "100",
            ("busybox", "pids", "pids.max"): "50",
            ("", "pids", "pids.max"): "500",
            ("", "cpu", "cpu.cfs_quota_us"): "100000",
        }
        assert {key: held(pod, *key) for key in expected} == expected
        directory = host_view.pod_directory(engine.data_dir, pod.uuid)
        kept = json.loads(host_view.read(directory / "carob/apps/busybox/config.json"))["linux"]["resources"]
        assert kept["memory"] == {"limit": 48 * MIB, "swap": 96 * MIB}
        assert kept["pids"] == {"limit": 50}
        assert kept["cpu"] == {"quota": 50000, "period": 100000, "shares": 100}
        assert kept["devices"]
        with pytest.raises(Conflict, match="the kernel does not take that"):
            pod.update(Resources(cpus=2), app="busybox")  # more than its pod has
        with pytest.raises(Unsupported, match="without a group for cpuset_cpus"):
            pod.update(Resources(cpuset_cpus="0"))
        with pytest.raises(InvalidInput, match="nothing to update"):
            pod.update(Resources())
        pod.update(Resources(memory_bytes=-1, pids=-1), app="busybox")
        assert held(pod, "busybox", "pids", "pids.max") == "max"
        pod.stop(grace_s=0)
        with pytest.raises(Conflict, match="not running"):
            pod.update(Resources(pids=5))


# --- what cannot be had ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "error", "words"),
    [
        (Resources(cpus=8000), Unsupported, "cpus: this host has"),
        (Resources(cpuset_cpus="4000"), Unsupported, "cpuset_cpus: not all of 4000"),
        (Resources(cpuset_mems="900"), Unsupported, "cpuset_mems: not all of 900"),
        (Resources(hugepages={"3MB": 6 * MIB}), Unsupported, "no pages of 3MB"),
        (Resources(io_max={"/dev/null": {"rbps": 1}}), InvalidInput, "is no block device"),
        (Resources(io_max={"/dev/nothing": {"rbps": 1}}), NotFound, "/dev/nothing is not there"),
    ],
)
def test_what_this_host_cannot_grant_is_refused_before_there_is_a_pod(
    engine: Engine, resources: Resources, error: type[CarobError], words: str
) -> None:
    with pytest.raises(error, match=words):
        engine.prepare(App("busybox", ["true"], resources=resources))
    with pytest.raises(error, match=words):
        engine.prepare(App("busybox", ["true"]), resources=resources)
    assert engine.list() == []
    assert not host_view.cgroups(f"_look-{os.getpid()}")


def test_what_a_look_left_behind_is_collected(engine: Engine) -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    names = {"of who is dead": f"/carob/_look-{ended.pid}-1", "of who lives": f"/carob/_look-{os.getpid()}-1"}
    for group in names.values():
        cgroup.create(group)
    try:
        engine.gc()
        left = {which for which, group in names.items() if host_view.cgroups(group.rsplit("/", 1)[1])}
        assert left == {"of who lives"}
    finally:
        for group in names.values():
            cgroup.remove(group)


def test_a_controller_that_the_kernel_has_elsewhere_is_named(engine: Engine) -> None:
    require(os.path.isdir("/sys/kernel/mm/hugepages/hugepages-2048kB"), "needs huge pages of 2 MB")
    if limits.hierarchy_of("hugetlb") is not None:
        with engine.run(App("busybox", FOREVER, resources=Resources(hugepages={"2MB": 4 * MIB}))) as pod:
            assert held(pod, "busybox", "hugetlb", "hugetlb.2MB.limit_in_bytes") == str(4 * MIB)
        return
    with pytest.raises(Unsupported, match="hugepages: this host's kernel"):
        engine.prepare(App("busybox", ["true"], resources=Resources(hugepages={"2MB": 4 * MIB})))


def test_an_app_is_not_given_more_than_its_pod(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="app busybox is given 1 cpus"):
        engine.prepare(App("busybox", ["true"], resources=Resources(cpus=1)), resources=Resources(cpus=0.5))
    with pytest.raises(InvalidInput, match="cpuset_cpus has some that its pod has not got"):
        engine.prepare(
            App("busybox", ["true"], resources=Resources(cpuset_cpus="0-1")),
            resources=Resources(cpuset_cpus="0"),
        )


# --- where the group is ----------------------------------------------------------------------------


def test_a_pod_below_a_group_of_the_users(engine: Engine) -> None:
    parent = f"/carob-test-{os.getpid()}"
    with pytest.raises(NotFound, match="no control group"):
        engine.prepare(App("busybox", ["true"]), cgroup_parent=parent)
    cgroup.create(f"{parent}/mine")
    try:
        with engine.run(App("busybox", FOREVER), cgroup_parent=f"{parent}/mine/") as pod:
            init = host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init")
            assert f"{parent}/mine/carob/{pod.uuid}" in host_view.read(f"/proc/{init}/cgroup")
        monitorless = engine.run(App("busybox", FOREVER), cgroup_parent=f"{parent}/mine")
        directory = host_view.pod_directory(engine.data_dir, monitorless.uuid)
        for which in ("monitor", "init"):
            os.kill(host_view.keeper(directory, which), signal.SIGKILL)
        monitorless.wait(timeout_s=SOON_S)
        monitorless.remove()
        left = [os.listdir(cgroup.directory(name, f"{parent}/mine")) for name in cgroup.hierarchies()
                if cgroup.holds_pods(name)]  # fmt: skip
        assert not any("carob" in names for names in left)
    finally:
        cgroup.remove(f"{parent}/mine")


def test_a_manifest_tells_limits_in_appcs_words_and_makes_the_same_pod(engine: Engine) -> None:
    own = Resources(memory_bytes=32 * MIB, cpus=0.5, cpu_shares=100, pids=9)
    first = engine.prepare(
        App("busybox", ["true"], resources=own),
        resources=Resources(memory_bytes=64 * MIB),
        sysctls={"net.core.somaxconn": "9"},
    )
    manifest = json.loads(first.manifest())
    (entry,) = manifest["apps"]
    assert {one["name"]: one["value"] for one in entry["app"]["isolators"]} == {
        "resource/cpu": {"limit": "500m"},
        "resource/memory": {"limit": str(32 * MIB)},
        "os/linux/cpu-shares": 100,
    }
    assert {one["name"]: one["value"] for one in manifest["isolators"]} == {
        "resource/memory": {"limit": str(64 * MIB)},
        "os/unix/sysctl": {"net.core.somaxconn": "9"},
    }
    images = Images(engine.data_dir)
    again = request(first.manifest(), images)
    assert again.apps[0].resources == own
    assert (again.resources, again.sysctls) == (Resources(memory_bytes=64 * MIB), {"net/core/somaxconn": "9"})
    # Written by others, who know nothing of carob's annotation.
    for noted in (entry["annotations"], manifest["annotations"]):
        noted[:] = [one for one in noted if one["name"] != "carob/isolation"]
    plain = request(json.dumps(manifest).encode(), images)
    assert plain.apps[0].resources == Resources(memory_bytes=32 * MIB, cpus=0.5, cpu_shares=100)
    assert (plain.resources, plain.sysctls) == (again.resources, again.sysctls)
