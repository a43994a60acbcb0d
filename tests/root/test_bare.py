"""``isolation="none"``: a program in its image's files, and for the rest on the host itself."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carob import App, Engine, Exited, Mount, PodHandle, Resources
from carob.engine.images.collection import Images
from carob.engine.request.security import Security
from carob.engine.rkt.manifest import request
from carob.linux.syscall import SYS_UNSHARE, syscall
from tests.needs import require_command
from tests.root import host_view
from tests.root.own_host import CLONE_NEWNS
from tests.unit.network.laboratory import SYS_SETNS

SOON_S = 60
FOREVER = ["sh", "-c", "echo here; exec sleep 1000"]
RUNTIMES = ("crun", "runc")
OF_HOST = ("pid", "net", "ipc", "uts")


def seen(pod: PodHandle, script: str) -> str:
    done = pod.exec(["sh", "-c", f"exec 2>&1; {script}"])
    return bytes(done.stdout).decode()


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A mount of the host that hands mounts on."""
    top = tmp_path / "shared"
    top.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", top], check=True)
    subprocess.run(["mount", "--make-shared", top], check=True)
    (top / "late").mkdir()
    (top / "inside").mkdir()
    try:
        yield top
    finally:
        subprocess.run(["umount", "-R", top], check=True)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_is_on_the_host_but_for_its_files(engine: Engine, shared: Path, runtime: str) -> None:
    require_command(runtime)
    mounts = [Mount(shared, "/data", propagation="shared")]
    mounts_before, devices_before = host_view.read("/proc/self/mountinfo"), sorted(os.listdir("/dev"))
    app = App("busybox", FOREVER, mounts=mounts)
    with engine.run(app, isolation="none", runtime=runtime) as pod:
        for kind in OF_HOST:
            assert seen(pod, f"readlink /proc/self/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}") + "\n"
        assert seen(pod, "readlink /proc/self/ns/mnt") != os.readlink("/proc/self/ns/mnt") + "\n"
        assert seen(pod, "ls /bin/plain /usr/sbin/nologin 2>/dev/null") == "/bin/plain\n"
        assert sorted(seen(pod, "ls -a /dev").split()) == sorted([".", "..", *devices_before])
        assert seen(pod, "cat /proc/1/comm") == Path("/proc/1/comm").read_text()
        assert seen(pod, "cat /sys/class/net/lo/ifindex; test -w /sys/kernel/uevent_seqnum; ls /sys/fs") != ""
        assert "tmpfs" in seen(pod, "stat -f -c %T /tmp")
        held = dict(
            line.split(":\t") for line in seen(pod, "grep -E '^(Cap|No|Sec)' /proc/self/status").splitlines()
        )
        own = dict(
            line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line
        )
        assert held["CapEff"] == held["CapBnd"] == own["CapEff"]
        assert (held["NoNewPrivs"], held["Seccomp"]) == ("0", "0")
        # What it mounts is its own, but where it was asked for otherwise.
        assert seen(pod, "mkdir /mnt; mount -t tmpfs none /mnt; mount -t tmpfs none /dev/shm") == ""
        assert seen(pod, "mount -t tmpfs none /data/inside && touch /data/inside/by-app") == ""
        assert os.listdir(shared / "inside") == ["by-app"]
        subprocess.run(["mount", "-t", "tmpfs", "none", shared / "late"], check=True)
        (shared / "late/mark").touch()
        assert seen(pod, "ls /data/late") == "mark\n"
        init = host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init")
        assert host_view.namespace(init, "pid") == host_view.namespace(os.getpid(), "pid")
    host_view.nothing_left(engine.data_dir, pod.uuid)
    subprocess.run(["umount", shared / "late"], check=True)
    subprocess.run(["umount", shared / "inside"], check=True)
    assert host_view.read("/proc/self/mountinfo") == mounts_before
    assert sorted(os.listdir("/dev")) == devices_before


@contextmanager
def host_that_shares_its_mounts() -> Iterator[None]:
    """As systemd sets hosts up; within the block this thread, and what it starts, is on one."""
    here = os.getcwd()
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    syscall(SYS_UNSHARE, CLONE_NEWNS)
    try:
        for how in ("--make-rprivate", "--make-rshared"):
            subprocess.run(["mount", how, "/"], check=True)
        yield
    finally:
        syscall(SYS_SETNS, before, CLONE_NEWNS)
        os.chdir(here)
        os.close(before)


def test_on_a_host_that_shares_its_mounts_what_it_mounts_stays_its_own(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "data/inside").mkdir(parents=True, exist_ok=True)
    own = "/dev/shm /sys/kernel /proc/fs /tmp"
    with host_that_shares_its_mounts():
        before = host_view.read("/proc/thread-self/mountinfo").splitlines()
        mounts = [Mount(tmp_path / "data", "/data", propagation="shared")]
        with engine.run(App("busybox", FOREVER, mounts=mounts), isolation="none") as pod:
            script = f"for one in {own} /data/inside; do mount -t tmpfs by-app $one || exit; done"
            assert seen(pod, script) == ""
            subprocess.run(["mount", "-t", "tmpfs", "by-host", "/sys/fs"], check=True)
            assert "by-host" in seen(pod, "grep ' /sys/fs ' /proc/self/mountinfo")
            subprocess.run(["umount", "/sys/fs"], check=True)
        left = [
            line for line in host_view.read("/proc/thread-self/mountinfo").splitlines() if line not in before
        ]
        assert len(left) == 1
        assert f" {tmp_path}/data/inside " in left[0]


def test_it_lives_and_ends_as_any_pod(engine: Engine, tmp_path: Path) -> None:
    app = App(
        "busybox", ["sh", "-c", "echo out; echo err >&2; id -u; (setsid sleep 1000 &); exit 7"], user="worker"
    )
    pod = engine.run(app, isolation="none")
    assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(7)}
    assert sorted(pod.logs().text().split()) == ["1234", "err", "out"]
    assert str(pod.status().state) == "exited"
    assert not host_view.cgroups(pod.uuid)  # and so nothing of it that runs
    pod.remove()
    pod = engine.run(App("busybox", FOREVER, resources=Resources(pids=20)), isolation="none")
    assert host_view.cgroup_file(pod.uuid, "busybox", "pids.max", "pids").read_text() == "20\n"
    pod.pause()
    assert str(pod.status().app("busybox").state) == "paused"
    pod.resume()
    with pod.start(["sh", "-c", "tty; stty size"], tty=True, size=(33, 77)) as terminal:
        assert terminal.wait() == Exited(0)
    pod.stop(grace_s=0)
    pod.remove()
    host_view.nothing_left(engine.data_dir, pod.uuid)


@pytest.mark.parametrize("killed", ["init", "both"])
def test_killed_it_leaves_no_process(engine: Engine, killed: str) -> None:
    script = "trap '' TERM; (setsid sleep 1000 &); sleep 1000 & echo here; exec sleep 1000"
    pod = engine.run(App("busybox", ["sh", "-c", script]), isolation="none")
    host_view.eventually("it is there", lambda: "here" in pod.logs().text())
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    inside = [
        int(pid)
        for group in host_view.cgroups(pod.uuid)
        for pid in host_view.read(f"{group}/cgroup.procs").split()
    ]
    for which in ("monitor", "init") if killed == "both" else ("init",):
        os.kill(host_view.keeper(directory, which), signal.SIGKILL)
    pod.remove(force=True)
    assert inside
    assert not [pid for pid in inside if host_view.is_alive(pid)]
    host_view.nothing_left(engine.data_dir, pod.uuid)


def test_what_is_asked_for_confines_it(engine: Engine) -> None:
    security = Security(
        cap_retain=["KILL"], seccomp="default", no_new_privileges=True, read_only_rootfs=True,
        mask=["/proc/version"], ulimits={"nofile": 99},
    )  # fmt: skip
    with engine.run(App("busybox", FOREVER, security=security), isolation="none") as pod:
        held = dict(
            line.split(":\t") for line in seen(pod, "grep -E '^(Cap|No|Sec)' /proc/self/status").splitlines()
        )
        assert held["CapBnd"] == held["CapEff"] == f"{1 << 5:016x}"
        assert (held["NoNewPrivs"], held["Seccomp"]) == ("1", "2")
        assert "Read-only" in seen(pod, "touch /here")
        assert seen(pod, "cat /proc/version; ulimit -n") == "99\n"


def test_its_manifest_makes_it_again(engine: Engine) -> None:
    security = Security(cap_drop=["KILL"])
    pod = engine.prepare(App("busybox", FOREVER, security=security), isolation="none")
    again = request(pod.manifest(), Images(engine.data_dir))
    assert (again.isolation, again.pid, again.ipc, again.uts, again.network) == ("none", *("host",) * 4)
    assert again.apps[0].security is not None
    assert again.apps[0].security.given() == security.given()
    pod.run()
    assert seen(pod, "readlink /proc/self/ns/pid") == os.readlink("/proc/self/ns/pid") + "\n"
    pod.remove(force=True)
