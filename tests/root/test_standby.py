"""Supervisors that are started before their pod: used where they fit, replaced where not, never left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import carob
from carob import App, Engine, Exited, Mount
from tests.root import host_view

BRIEF = App("busybox", ["true"])


def standing_by(caller: int = 0) -> list[int]:
    """Return the processes of the caller's (0: this process's) supervisors that have no pod yet."""
    caller = caller or os.getpid()
    monitors = [pid for pid in host_view.pids() if _caller_of(pid) == caller]
    # The first process of a supervisor is the caller's child, and about to end.
    own = [pid for pid in monitors if host_view.fields(pid)[1:2] != [str(caller)]]
    return [pid for monitor in own for pid in host_view.descendants(monitor)]


def _caller_of(pid: int) -> int:
    """Return whose pidfd a monitor without a pod holds as its descriptor 4; 0 for all other processes."""
    try:
        if os.readlink(f"/proc/{pid}/fd/2").startswith("/memfd:supervisor.log"):
            for line in Path(f"/proc/{pid}/fdinfo/4").read_text().splitlines():
                if line.startswith("Pid:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


@pytest.fixture
def ready(engine: Engine) -> Iterator[Engine]:
    """An engine with one supervisor standing by, on the data directory of `engine`."""
    with Engine(engine.data_dir, standby=1, launcher=engine._supervision.launcher) as made:
        made.run(BRIEF).wait()
        host_view.eventually("two processes stand by", lambda: len(standing_by()) == 2)
        yield made
    host_view.eventually("nothing stands by any more", lambda: not standing_by())


def keepers(pod: carob.PodHandle) -> set[int]:
    directory = host_view.pod_directory(pod._data_dir, pod.uuid)
    return {host_view.keeper(directory, which) for which in ("monitor", "init")}


def test_the_pod_is_kept_by_what_stood_by_and_another_takes_its_place(ready: Engine) -> None:
    before = set(standing_by())
    pod = ready.run(App("busybox", ["sleep", "1000"]))
    assert keepers(pod) == before
    host_view.eventually("another stands by", lambda: len(standing_by()) == 2)
    assert before.isdisjoint(standing_by())
    pod.remove(force=True)


def test_pods_one_after_the_other_end_as_they_should(ready: Engine) -> None:
    for code in range(5):
        pod = ready.run(App("busybox", ["sh", "-c", f"echo {code}; exit {code}"]))
        assert pod.wait(timeout_s=60).apps == {"busybox": Exited(code)}
        assert pod.logs("busybox").text() == f"{code}\n"
        assert (
            host_view.read(host_view.pod_directory(ready.data_dir, pod.uuid) / "carob/supervisor.log") == ""
        )
        pod.remove()
        host_view.nothing_left(ready.data_dir, pod.uuid)


def test_another_network_gets_another_supervisor(ready: Engine) -> None:
    before = set(standing_by())
    pod = ready.run(App("busybox", ["sleep", "1000"]), network="host")
    assert before.isdisjoint(keepers(pod))
    init = host_view.keeper(host_view.pod_directory(pod._data_dir, pod.uuid), "init")
    assert host_view.namespace(init, "net") == host_view.namespace(os.getpid(), "net")
    pod.remove(force=True)


def test_a_file_system_mounted_since_is_in_the_pod(ready: Engine, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "carob-test", volume], check=True)
    try:
        (volume / "file").write_text("mounted\n")
        pod = ready.run(App("busybox", ["cat", "/v/file"], mounts=[Mount(str(volume), "/v")]))
        assert pod.wait(timeout_s=60).apps == {"busybox": Exited(0)}
        assert pod.logs("busybox").text() == "mounted\n"
        pod.remove()
    finally:
        subprocess.run(["umount", volume], check=True)


@pytest.mark.parametrize("which", [0, 1])
def test_one_that_was_killed_is_replaced(ready: Engine, which: int) -> None:
    both = sorted(standing_by())
    os.kill(both[which], signal.SIGKILL)
    for pid in both:
        host_view.wait_gone(pid)
    pod = ready.run(BRIEF)
    assert pod.wait(timeout_s=60).apps == {"busybox": Exited(0)}
    pod.remove()


def test_a_forked_child_leaves_its_parents_alone(ready: Engine) -> None:
    before = set(standing_by())
    child = os.fork()
    if child == 0:
        status = 1
        try:
            end = ready.run(BRIEF).wait(timeout_s=60)
            status = 0 if end.apps == {"busybox": Exited(0)} else 2
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    pod = ready.run(App("busybox", ["sleep", "1000"]))
    assert keepers(pod) == before
    pod.remove(force=True)


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "del engine; time.sleep(60)"])
def test_it_ends_with_its_caller_or_its_engine(engine: Engine, end: str) -> None:
    program = (
        "import os, sys, time\nfrom carob import App, Engine\n"
        "engine = Engine(sys.argv[1], standby=1)\n"
        "engine.run(App('busybox', ['true'])).wait()\n"
        f"print('there', flush=True)\nsys.stdin.read(1)\n{end}\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(carob.__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, "-c", program, engine.data_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        host_view.eventually("two processes stand by", lambda: len(standing_by(process.pid)) == 2)
        left = standing_by(process.pid)
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
        for pid in left:
            host_view.wait_gone(pid)
        process.kill()


def test_prepared_pods_use_it_too(ready: Engine) -> None:
    before = set(standing_by())
    pod = ready.prepare(App("busybox", ["sleep", "1000"]))
    pod.run()
    assert keepers(pod) == before
    pod.remove(force=True)
