"""What is said where a pod does not come up for want of something, and where it is another's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from carob import App, Engine, MemoryVolume, Mount, Security
from carob.errors import AppStartFailed, CarobError, Conflict, PermissionDenied
from tests.architecture.sources import SRC
from tests.needs import require
from tests.root.test_rootless import START
from tests.root.test_rootless import root_tar as root_tar  # noqa: PLC0414 - a fixture
from tests.root.test_unpack_userns import Account
from tests.root.test_unpack_userns import user as user  # noqa: PLC0414 - a fixture

SOON_S = 60
TRUE = ["true"]


@pytest.mark.parametrize("name", ["nofile", "fsize"])
def test_a_limit_that_the_runtime_itself_cannot_keep_is_named(engine: Engine, name: str) -> None:
    with pytest.raises(AppStartFailed) as caught:
        engine.run(App("busybox", TRUE, security=Security(ulimits={name: 10})))
    assert f"--ulimit {name}" in caught.value.hint


def test_a_limit_of_processor_time(engine: Engine) -> None:
    app = App("busybox", ["sh", "-c", "ulimit -t; ulimit -Ht"], security=Security(ulimits={"cpu": (5, 6)}))
    with engine.run(app) as pod:
        pod.wait(timeout_s=SOON_S)
        assert pod.logs().text() == "5\n6\n"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("net.foo", "1", "there is none of that name"), ("net.core.somaxconn", "x", "Invalid argument")],
)
def test_a_parameter_that_cannot_be_set_is_named(engine: Engine, name: str, value: str, said: str) -> None:
    with pytest.raises(CarobError, match=f"could not be started: sysctl {name}={value}: {said}$"):
        engine.run(App("busybox", TRUE), sysctls={name: value})


FEW = """
import sys; sys.path.insert(0, sys.argv[1])
from carob import App, Engine, errors
try:
    with Engine(sys.argv[2]).run(App("busybox", ["true"])) as pod:
        pod.wait()
    print("fine")
except errors.CarobError as error:
    print(f"{error} ({error.hint})")
"""


def test_where_no_more_processes_may_be_made_that_is_said(engine: Engine) -> None:
    group = Path("/sys/fs/cgroup/pids") / f"few-{os.getpid()}"
    require(group.parent.is_dir(), "needs the pids controller of cgroup v1")
    group.mkdir()
    said = []
    try:
        for most in range(2, 8):
            (group / "pids.max").write_text(str(most))
            done = subprocess.run(
                ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh",
                 sys.executable, "-c", FEW, SRC, engine.data_dir],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            said.append(done.stdout.strip())
    finally:
        group.rmdir()
    assert said[0] != "fine"
    for one in said:
        if one != "fine":
            assert "Resource temporarily unavailable" in one or "left something out" in one
            assert "pids.max" in one
            assert ".py" not in one


def test_nothing_is_copied_to_where_the_app_itself_may_not_write(engine: Engine, tmp_path: Path) -> None:
    mounts = [Mount(MemoryVolume(), "/ro", read_only=True), Mount(MemoryVolume(), "/rw")]
    (tmp_path / "file").write_text("x")
    app = App("busybox", ["sleep", "1000"], mounts=mounts, security=Security(read_only_rootfs=True))
    with engine.run(app) as pod:
        for target in ("/ro/x", "/x"):
            with pytest.raises(Conflict, match=f"{target} is read-only in app busybox"):
                pod.copy_in(tmp_path / "file", target)
        pod.copy_in(tmp_path / "file", "/rw/x")
        assert pod.exec(["cat", "/rw/x"], text=True).stdout == "x"


RUN = (
    START
    + """
pod = engine.run(sh("exec sleep 1000"))
print(pod.uuid, flush=True)
sys.stdin.read()
pod.remove(force=True)
"""
)


def test_a_users_pod_obeys_root_no_more_than_others(user: Account, root_tar: str) -> None:
    with subprocess.Popen(
        user.command(RUN, root_tar), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pod = Engine(user.data).get(process.stdout.readline().strip())
        for ask in (lambda: pod.exec(TRUE), pod.pause, lambda: pod.restart(grace_s=0)):
            with pytest.raises(PermissionDenied, match=f"another user's, who has the number {user.uid}"):
                ask()
        process.stdin.close()
        assert process.wait(SOON_S) == 0
