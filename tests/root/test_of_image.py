"""What images ask for beside a command: places for data, and an ACI's isolators; callers may say more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carob import App, EmptyVolume, Engine, Mount, PodHandle, Resources
from carob.engine.images.collection import Images
from carob.engine.request.security import Security
from carob.engine.rkt.manifest import request
from carob.errors import InvalidInput
from carob.image.aci.records import read_record, write_record
from tests.root import host_view
from tests.unit.image.aci.made import aci, app, file, folder, manifest
from tests.unit.image.archives import symlink

MIB = 1 << 20
SHELL = ("/bin/busybox", "sh", "-c")
POINTS = [
    {"name": "cache", "path": "/cache"},
    {"name": "link", "path": "/var/run/db"},
    {"name": "inner", "path": "/cache/inner"},
    {"name": "new", "path": "/srv/new/deep"},
    {"name": "file", "path": "/etc/name"},
    {"name": "odd", "path": "/proc/odd"},
]
ISOLATORS: list[dict[str, Any]] = [
    {"name": "os/linux/capabilities-retain-set", "value": {"set": ["CAP_KILL", "CAP_CHOWN", "CAP_SYS_TIME"]}},
    {"name": "os/linux/no-new-privileges", "value": False},
    {"name": "resource/memory", "value": {"limit": "64Mi", "request": "16Mi"}},
    {"name": "resource/cpu", "value": {"limit": "500m"}},
    {"name": "os/linux/oom-score-adj", "value": 100},
    {"name": "resource/block-bandwidth", "value": {"default": True, "limit": "2M"}},
]


@pytest.fixture
def image(engine: Engine, tmp_path: Path, busybox: Path) -> str:
    """The id of an image that was an ACI."""
    section = app(*SHELL, "echo here; exec /bin/busybox sleep 1000", mountPoints=POINTS, isolators=ISOLATORS,
                  supplementaryGIDs=[77])  # fmt: skip
    members = [
        folder("bin"), file("bin/busybox", busybox.read_bytes(), mode=0o755), folder("cache", mode=0o700),
        file("cache/of-image", b"x"), folder("etc"), file("etc/name", b"y"), folder("var"), folder("run"),
        folder("run/db"), symlink("rootfs/var/run", "/run"),
    ]  # fmt: skip
    path = tmp_path / "worker.aci"
    path.write_bytes(aci(manifest("example.com/worker", app=section), *members))
    warned: list[str] = []
    found = engine.images.import_path(path, name="worker", insecure="image", warn=warned.append)
    assert any("isolators[resource/block-bandwidth]" in line and "memory" not in line for line in warned)
    return found.image_id


def seen(pod: PodHandle, script: str) -> str:
    done = pod.exec([*SHELL, f"exec 2>&1; PATH=/bin; B=/bin/busybox; {script}"])
    return bytes(done.stdout).decode()


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("overlay", [True, False])
def test_places_for_data_are_there_and_writable_in_a_root_that_is_not(engine: Engine, overlay: bool) -> None:
    mounts = [Mount(EmptyVolume(), "/mine")]
    for read_only in (True, False):
        wanted = App("worker", mounts=mounts, security=Security(read_only_rootfs=read_only))
        with engine.run(wanted, overlay=overlay) as pod:
            assert seen(pod, "$B ls /cache; $B stat -c %a /cache") == "inner\nof-image\n700\n"
            for place in ("/cache", "/var/run/db", "/srv/new/deep", "/cache/inner", "/mine"):
                assert seen(pod, f"$B touch {place}/x && echo y > {place}/x && $B cat {place}/x") == "y\n"
            assert seen(pod, "$B cat /etc/name") == "y"
            assert ("Read-only" in seen(pod, "$B touch /x /etc/name")) is read_only
            assert (
                "none" in seen(pod, "$B grep ' /cache ' /proc/self/mountinfo || echo none")
            ) is not read_only


@pytest.mark.usefixtures("image")
def test_a_mount_of_the_callers_stands_in_their_place(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "of-host").mkdir()
    (tmp_path / "of-host/mark").touch()
    mounts = [Mount(tmp_path / "of-host", "/srv/new"), Mount(tmp_path / "of-host", "/cache", read_only=True)]
    with engine.run(App("worker", mounts=mounts, security=Security(read_only_rootfs=True))) as pod:
        assert seen(pod, "$B ls /srv/new /cache").split() == ["/cache:", "mark", "/srv/new:", "mark"]
        assert "Read-only" in seen(pod, "$B touch /cache/x")


def held(pod: PodHandle, file: str) -> str:
    return host_view.cgroup_file(pod.uuid, "worker", file, file.partition(".")[0]).read_text().strip()


def test_isolators_take_away_and_give_where_a_signature_was_checked(engine: Engine, image: str) -> None:
    status = "$B grep -E '^(CapBnd|NoNew|Groups)' /proc/self/status; $B cat /proc/1/oom_score_adj"
    with engine.run(App("worker")) as pod:
        assert seen(pod, status).split() == [
            "Groups:", "77", "CapBnd:", f"{1 << 0 | 1 << 5:016x}", "NoNewPrivs:", "1", "100",
        ]  # fmt: skip
        assert held(pod, "memory.limit_in_bytes") == str(64 * MIB)
        assert held(pod, "memory.soft_limit_in_bytes") == str(16 * MIB)
        assert held(pod, "cpu.cfs_quota_us") == "50000"
        told = {one["name"] for one in json.loads(pod.manifest())["apps"][0]["app"]["isolators"]}
        assert {"resource/memory", "resource/cpu", "os/linux/capabilities-retain-set"} <= told
        again = request(pod.manifest(), Images(engine.data_dir)).apps[0]
        assert (again.security is not None, again.image_isolators) == (True, False)
    record = read_record(engine.data_dir, image)
    assert record is not None
    record.signers = ("A" * 40,)
    write_record(engine.data_dir, record)
    with engine.run(App("worker")) as pod:
        assert f"{1 << 0 | 1 << 5 | 1 << 25:016x}" in seen(pod, status)
        assert "NoNewPrivs:\t0" in seen(pod, status)


@pytest.mark.usefixtures("image")
def test_what_the_caller_says_goes_over_them(engine: Engine) -> None:
    own = App(
        "worker", security=Security(cap_add=["SYS_CHROOT"], oom_score_adj=7),
        resources=Resources(memory_bytes=12 * MIB),
    )  # fmt: skip
    with engine.run(own) as pod:
        assert seen(pod, "$B cat /proc/1/oom_score_adj") == "7\n"
        assert f"{1 << 5:016x}" not in seen(pod, "$B grep CapBnd /proc/self/status")
        assert held(pod, "memory.limit_in_bytes") == str(12 * MIB)
        assert held(pod, "cpu.cfs_quota_us") == "50000"
    with engine.run(App("worker", image_isolators=False)) as pod:
        assert seen(pod, "$B cat /proc/1/oom_score_adj") == "0\n"
        assert held(pod, "cpu.cfs_quota_us") == "-1"
    with engine.run(App("worker", security=Security(privileged=True))) as pod:
        assert seen(pod, "$B cat /proc/1/oom_score_adj") == "0\n"


def test_an_image_with_places_without_end_is_refused(engine: Engine, tmp_path: Path, busybox: Path) -> None:
    points = [{"name": f"p{number}", "path": f"/data/{number}"} for number in range(300)]
    members = [folder("bin"), file("bin/busybox", busybox.read_bytes(), mode=0o755)]
    path = tmp_path / "many.aci"
    path.write_bytes(aci(manifest("example.com/many", app=app(*SHELL, "true", mountPoints=points)), *members))
    engine.images.import_path(path, name="many", insecure="image")
    with pytest.raises(InvalidInput, match="300 places for data"):
        engine.prepare(App("many"))
    assert engine.list() == []
