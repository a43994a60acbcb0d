"""Who sees whose mounts: the host's in an app, and an app's in the host, only as it was asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob import App, Engine, Mount, PodHandle
from carob.engine.request.security import Security
from carob.errors import InvalidInput, Unavailable
from tests.root import host_view

FOREVER = ["sh", "-c", "while :; do sleep 0.1; done"]
KINDS = ("private", "slave", "shared")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    """A mount of the host that hands mounts on."""
    top = tmp_path / "source"
    top.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", top], check=True)
    subprocess.run(["mount", "--make-shared", top], check=True)
    for name in ("early", "late", "inside"):
        (top / name).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", top / "early"], check=True)
    (top / "early/mark").touch()
    try:
        yield top
    finally:
        subprocess.run(["umount", "-R", top], check=True)


def seen(pod: PodHandle, script: str) -> str:
    done = pod.exec(["sh", "-c", f"exec 2>&1; {script}"])
    return bytes(done.stdout).decode()


def test_all_three_in_one_pod(engine: Engine, source: Path) -> None:
    mounts = [Mount(source, f"/{kind}", propagation=kind) for kind in KINDS]  # type: ignore[arg-type]
    app = App(
        "busybox", FOREVER, mounts=mounts, security=Security(cap_add=["SYS_ADMIN"], seccomp="unconfined")
    )
    before = Path("/proc/self/mountinfo").read_text().count("\n")
    pod = engine.run(app)
    for kind in KINDS:
        assert seen(pod, f"ls /{kind}/early") == "mark\n"
    subprocess.run(["mount", "-t", "tmpfs", "none", source / "late"], check=True)
    (source / "late/mark").touch()
    assert [seen(pod, f"ls /{kind}/late") for kind in KINDS] == ["", "mark\n", "mark\n"]
    for kind in ("private", "slave"):
        assert seen(pod, f"mount -t tmpfs none /{kind}/inside && touch /{kind}/inside/{kind}") == ""
        assert os.listdir(source / "inside") == []
    assert seen(pod, "mount -t tmpfs none /shared/inside && touch /shared/inside/app") == ""
    assert os.listdir(source / "inside") == ["app"]
    subprocess.run(["umount", source / "late"], check=True)
    assert [seen(pod, f"ls /{kind}/late") for kind in KINDS] == ["", "", ""]
    pod.remove(force=True)
    # What the app mounted in the host is the host's now.
    assert Path("/proc/self/mountinfo").read_text().count("\n") == before + 1


def test_more_than_one_message_of_volumes(engine: Engine, source: Path) -> None:
    mounts = [Mount(source, f"/{number}", propagation="slave", read_only=True) for number in range(20)]
    pod = engine.run(App("busybox", FOREVER, mounts=mounts))
    assert seen(pod, "ls /19/early; touch /7/early/x /7/x; ls -d /*/inside | wc -l").splitlines()[0] == "mark"
    assert os.listdir(source / "early") == ["mark"]
    pod.remove(force=True)


def test_a_mount_that_hands_nothing_on_is_refused(engine: Engine, source: Path) -> None:
    subprocess.run(["mount", "--make-rprivate", source], check=True)
    for kind in ("slave", "shared"):
        mount = Mount(source, "/x", propagation=kind)
        with pytest.raises(InvalidInput, match="is private in the host, so nothing is handed on"):
            engine.prepare(App("busybox", ["true"], mounts=[mount]))
    assert host_view.pod_directories(engine.data_dir) == []


def test_a_source_that_is_gone_when_the_monitor_opens_it_is_named(engine: Engine, source: Path) -> None:
    (source / "gone").mkdir()
    mount = Mount(source / "gone", "/x", propagation="slave")
    pod = engine.prepare(App("busybox", ["true"], name="web", mounts=[mount]))
    shutil.rmtree(source / "gone")
    with pytest.raises(Unavailable, match=r"the volume of app web: .*/gone"):
        pod.run()
