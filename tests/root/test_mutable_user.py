"""Mutable pods of a user who is not root, of pods with owners of their own, and on older kernels."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from carob import Engine, File, ImageVolume, MemoryVolume, Mount, NamedVolume
from carob.linux import mount
from tests.root.mutable_pods import app, is_settled
from tests.root.test_mutable import output
from tests.root.test_rootless import START, root_tar
from tests.root.test_unpack_userns import Account, user

__all__ = ["root_tar", "user"]

STORY = (
    START
    + """
from carob import EmptyVolume, File, ImageVolume, MemoryVolume, NamedVolume

volume = sys.argv[2] + "/../volume"
os.mkdir(volume)
os.mkdir(volume + "/logs")
open(volume + "/file", "w").write("of the host\\n")

def wait(name):
    while pod.status().app(name).state != "ended":
        time.sleep(0.01)
    return [str(pod.status().app(name).end), pod.logs(name).text()]

pod = engine.sandbox(hosts={"friend": "10.1.2.3"})
mounts = [Mount(volume, "/v"), Mount(MemoryVolume(name="m"), "/m"), Mount(EmptyVolume(), "/e"),
          Mount(ImageVolume("busybox"), "/i", subpath="bin"), Mount(NamedVolume("n"), "/n")]
pod.add(sh("cat /v/file /s; touch /v/made /m/x /e/x /n/x /x; ls /i/busybox; stat -c %u /x /s; chown 5:5 /x;"
           "cat /proc/self/uid_map; grep -c friend /etc/hosts; exit 3",
           name="all", mounts=mounts, files=[File("/s", content=b"secret\\n")]),
        log_path=os.path.realpath(volume) + "/logs/0.log")
told["created"] = pod.status().app("all").state
pod.start_app("all")
told["all"] = wait("all")
told["log"] = os.path.getsize(volume + "/logs/0.log") > 0
pod.start_app("all")
told["again"] = wait("all")[0]
pod.add(sh("exec sleep 1000", name="shared"), pid="pod")
pod.start_app("shared")
told["exec"] = pod.exec(["cat", "/proc/1/cmdline"], app="shared").stdout.decode().partition(chr(0))[0]
pod.stop_app("shared", grace_s=0)
told["propagation"] = refused(lambda: pod.add(sh("true", mounts=[Mount("/proc", "/p", propagation="slave")])))
told["none"] = refused(lambda: pod.add(App("busybox", ["nonesuch"], name="none")))
pod.remove_app("all")
told["apps"] = sorted(os.listdir(f"{engine.data_dir}/pods/run/{pod.uuid}/carob/apps"))
pod.remove_app("shared")
top = f"{engine.data_dir}/pods/run/{pod.uuid}/overlay"
told["left"] = [name for path, _, files in os.walk(top) for name in files if "/rkt" not in path]
pod.stop()
pod.remove()
print(json.dumps(told))
"""
)


def test_a_users_pod(user: Account, root_tar: str) -> None:
    run = user.run(STORY, root_tar, check=False)
    assert run.returncode == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    assert told["created"] == "created"
    end, text = told["all"]
    assert end == "Exited(code=3)"
    lines = text.splitlines()
    assert lines[:5] == ["of the host", "secret", "/i/busybox", "0", "0"]
    assert lines[-1] == "1"
    assert (told["log"], told["again"], told["exec"]) == (True, "Exited(code=3)", "carob-pod")
    assert told["none"][0] == "AppStartFailed"
    assert told["propagation"][0] in ("PermissionDenied", "InvalidInput")
    assert (told["apps"], told["left"]) == (["shared"], [])


def test_a_pod_with_owners_of_its_own(engine: Engine, tmp_path: Path) -> None:
    pod = engine.sandbox(userns="auto")
    mounts = [
        Mount(MemoryVolume(name="memory"), "/memory"),
        Mount(NamedVolume("kept"), "/kept"),
        Mount(ImageVolume("busybox"), "/image", subpath="bin"),
    ]
    files = [File("/secret", content=b"secret\n")]
    script = "cat /secret; touch /memory/x /kept/x /x; stat -c %u /memory/x /kept/x /x; ls /image/busybox"
    assert output(pod, "web", script, mounts=mounts, files=files) == "secret\n0\n0\n0\n/image/busybox\n"
    first = int(output(pod, "map", "cat /proc/self/uid_map").split()[1])
    assert first > 0
    assert os.stat(Path(engine.data_dir, "volumes/kept/data/x")).st_uid == 0
    is_settled(engine, pod)
    pod.remove(force=True)


def test_a_kernel_that_makes_no_overlay_unattached(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> int:
        raise OSError(errno.EINVAL, "as before Linux 6.5")

    before = Path("/proc/self/mountinfo").read_text()
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", source], check=True)
    subprocess.run(["mount", "--make-shared", source], check=True)
    (source / "late").mkdir()
    monkeypatch.setattr(mount, "_overlay_by_layers", cannot)
    try:
        pod = engine.sandbox()
        pod.add(app("web", mounts=[Mount(str(source), "/slave", propagation="slave")]))
        pod.start_app("web")
        subprocess.run(["mount", "-t", "tmpfs", "none", source / "late"], check=True)
        (source / "late/mark").touch()
        assert pod.exec(["ls", "/slave/late"], app="web", text=True).stdout == "mark\n"
        pod.remove(force=True)
    finally:
        subprocess.run(["umount", "-R", source], check=True)
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_program_that_has_its_children_collected_by_the_kernel(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a process makes the mounts (here because the kernel is said to be old) nobody can wait for it."""

    def cannot(*_: object) -> int:
        raise OSError(errno.EINVAL, "as before Linux 6.5")

    pod = engine.sandbox()
    monkeypatch.setattr(mount, "_overlay_by_layers", cannot)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert pod.add(app("web")) == "web"
    finally:
        signal.signal(signal.SIGCHLD, before)
    pod.remove(force=True)
