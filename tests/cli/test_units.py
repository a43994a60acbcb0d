"""Pods as units of systemd: told by its protocol, and below the unit's control group where that was asked.

systemd itself is played by a socket of the test's, and by control groups as it makes them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.linux import cgroup
from tests.cli.conftest import Command, eventually
from tests.needs import require, require_command
from tests.root import host_view

SOON_S = 60
OF_UNITS = (cgroup.V2, "systemd", cgroup.UNIFIED)
UNIT = f"/carob-test-{os.getpid()}.slice/web.service"
# What systemd does for a unit's first process: into the unit's groups, then the program.
ENTER = 'for one in $GROUPS_OF_UNIT; do echo $$ > "$one/cgroup.procs"; done; exec "$@"'


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What listens at NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(SOON_S)
        yield made


def word(manager: socket.socket) -> dict[str, str]:
    """What it was told next."""
    return dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())


def group_of(pid: int, hierarchy: str) -> str:
    return cgroup.memberships(pid).get(hierarchy, "")


def remove_unit(directories: list[str]) -> None:
    for top in directories:
        for path, _, _ in os.walk(top, topdown=False):
            os.rmdir(path)


@pytest.fixture
def unit() -> Iterator[list[str]]:
    """The unit's group in each hierarchy, as Delegate=yes has it."""
    names = cgroup.hierarchies()
    require("systemd" in names, "needs cgroup v1 as systemd mounts it")
    made = [
        cgroup.directory(name, UNIT)
        for name in names
        if cgroup.holds_pods(name) or name in ("systemd", cgroup.UNIFIED)
    ]
    for path in made:
        os.makedirs(path)
    yield made
    remove_unit([os.path.dirname(path) for path in made])


def test_a_pod_stays_in_its_unit_and_says_when_it_is_ready(
    carob: Command, manager: socket.socket, unit: list[str]
) -> None:
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "GROUPS_OF_UNIT": " ".join(unit)}
    words = [
        "run",
        "--detach",
        "--cgroups=split",
        "--sdnotify=monitor",
        "busybox",
        "--",
        "sh",
        "-c",
        "env; sleep 1000",
    ]
    done = subprocess.run(
        ["sh", "-c", ENTER, "sh", *carob.argv, *words],
        env=carob.environment | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    uuid = done.stdout.strip()
    told = word(manager)
    assert (told["READY"], told["STATUS"]) == ("1", f"pod {uuid}")
    directory = host_view.pod_directory(str(carob.data_dir), uuid)
    monitor, init = (host_view.keeper(directory, which) for which in ("monitor", "init"))
    assert int(told["MAINPID"]) == monitor
    for name in ("systemd", cgroup.UNIFIED):
        for pid in host_view.descendants(monitor):
            assert group_of(pid, name) == UNIT
    assert group_of(monitor, "memory") == UNIT
    assert group_of(init, "memory") == f"{UNIT}/carob/{uuid}"
    eventually(lambda: "PATH=" in carob.ok("logs", uuid))
    assert "NOTIFY_SOCKET" not in carob.ok("logs", uuid)
    os.kill(monitor, signal.SIGTERM)  # as systemd stops a unit with KillMode=mixed
    host_view.wait_gone(monitor)
    assert carob.json("status", uuid)["outcome"] == "stopped"
    assert [
        os.listdir(path) for path in unit if any(os.path.isdir(f"{path}/{name}") for name in os.listdir(path))
    ] == []


def test_the_same_on_cgroup_v2(carob: Command, manager: socket.socket) -> None:
    slice_, _, service = UNIT[1:].partition("/")
    script = f"""
        set -e
        mount --make-rprivate /; umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
        cd /sys/fs/cgroup; mkdir -p {slice_}/{service} {slice_}/other.service
        in_group() {{ sh -c 'echo $$ > $0/cgroup.procs; exec "$@"' "$@"; }}
        cd {slice_}/{service}
        uuid=$(in_group . "$@" run --detach --cgroups=split --sdnotify=conmon busybox -- sleep 1000)
        echo "$uuid"
        for file in $(find . -name cgroup.procs); do echo "$file" $(cat $file); done
        "$@" stop $uuid >/dev/null
        echo left $(find . -mindepth 1 -type d)
        cd ../other.service
        in_group . sh -c '"$@" run --cgroups=split busybox -- true 2>&1; true' sh "$@"
        cd ../..
        find {slice_} -depth -type d -exec rmdir {{}} +
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *carob.argv],
        env=carob.environment | {"NOTIFY_SOCKET": manager.getsockname()},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    require("mount" not in done.stderr, "needs to mount cgroup v2")
    assert done.returncode == 0, done.stderr
    uuid, *lines = done.stdout.splitlines()
    told = word(manager)
    assert told["READY"] == "1"
    inside = {
        line.split()[0]: line.split()[1:] for line in lines if line.startswith("./") and len(line.split()) > 1
    }
    assert set(inside) == {
        "./supervisor/cgroup.procs",
        f"./carob/{uuid}/_init/cgroup.procs",
        f"./carob/{uuid}/busybox/cgroup.procs",
    }
    assert inside["./supervisor/cgroup.procs"] == [told["MAINPID"]]
    assert "left ./supervisor" in lines
    assert "other.service has other processes" in lines[-1] + lines[-2]


def test_an_app_says_itself_that_it_is_ready(carob: Command, manager: socket.socket) -> None:
    require(Path("/usr/bin/python3").exists(), "needs a Python to run in the pod")
    program = (
        "import os, socket; "
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])"
    )
    programs = [part for top in ("usr", "lib", "lib64") for part in ("--volume", f"/{top}:/{top}:ro")]
    done = carob(
        "run", "--sdnotify=app", "busybox", *programs, "--", "/usr/bin/python3", "-c", program,
        env={"NOTIFY_SOCKET": manager.getsockname()},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = [word(manager) for _ in range(2)]
    assert {"READY": "1"} in told
    assert not any("READY" in one for one in told if "STATUS" in one)


def test_nobody_is_told_where_nobody_asked_or_listens(carob: Command, manager: socket.socket) -> None:
    manager.setblocking(False)
    place = manager.getsockname()
    for words in ([], ["--sdnotify=ignore"]):
        assert "NOTIFY" not in carob.ok("run", *words, "busybox", "--", "env", env={"NOTIFY_SOCKET": place})
    with pytest.raises(BlockingIOError):
        manager.recv(1)
    carob.ok("run", "--sdnotify=monitor", "busybox", "--", "true")
    carob.ok("run", "--sdnotify=monitor", "busybox", "--", "true", env={"NOTIFY_SOCKET": "/nobody/there"})
    refused = carob("run", "--sdnotify=app", "busybox", "--", "true", env={"NOTIFY_SOCKET": "@abstract"})
    assert (refused.returncode, "no app can reach" in refused.stderr) == (125, True)
    uuid = carob.ok("prepare", "busybox", "--", "true").strip()
    assert "not made to reach systemd" in carob("run-prepared", "--sdnotify=app", uuid).stderr
    assert "may be run from anywhere" in carob("prepare", "--cgroups=split", "busybox", "--", "true").stderr
    if {cgroup.memberships(os.getpid()).get(name, "/") for name in OF_UNITS} == {"/"}:
        assert (
            "no control group of its own" in carob("run", "--cgroups=split", "busybox", "--", "true").stderr
        )


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 3", 1)])
def test_the_monitor_ends_as_its_pod_did(carob: Command, script: str, status: int) -> None:
    reaper = (
        "import ctypes, os, subprocess, sys\n"
        "ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: who the monitor is handed to\n"
        "uuid = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()\n"
        "monitor = int(open(f'{os.environ[\"CAROB_DIR\"]}/pods/run/{uuid}/ppid').read())\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(monitor, 0)[1]))\n"
    )
    words = ["run", "--detach", "busybox", "--", "sh", "-c", f"sleep 0.3; {script}"]
    done = subprocess.run(
        [sys.executable, "-c", reaper, *carob.argv, *words],
        env=carob.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == str(status)


def test_the_units_of_the_how_to_are_sound(tmp_path: Path) -> None:
    require_command("systemd-analyze")
    page = Path(__file__).parents[2] / "docs/how-to/systemd.md"
    blocks = [block.split("\n```")[0] for block in page.read_text().split("```ini\n")[1:]]
    assert blocks
    program = shutil.which("true")
    assert program is not None
    for block in blocks:
        name = block.splitlines()[0].removeprefix("# /etc/systemd/system/")
        (tmp_path / name).write_text(block.replace("/usr/bin/carob", program))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", tmp_path / name],
            capture_output=True,
            text=True,
            check=False,
        )
        assert name not in done.stderr + done.stdout, done.stderr
        assert done.returncode == 0, done.stderr
