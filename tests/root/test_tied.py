from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import carob
from carob import App, Engine, Exited, PodHandle
from tests.root import host_view, steps

SOON_S = 60
FOREVER = App("busybox", ["sleep", "1000"])
BRIEF = App("busybox", ["true"])


def state(pod: PodHandle) -> str:
    return str(pod.status().state)


def only_uuid(engine: Engine) -> str:
    (path,) = host_view.pod_directories(engine.data_dir)
    return path.name


def vanishes(engine: Engine, uuid: str, inside: host_view.Inside | None = None) -> None:
    """Wait until the pod has been removed by whoever does that, and see that nothing is left of it."""
    host_view.eventually(
        f"pod {uuid} is removed",
        lambda: uuid not in {path.name for path in host_view.pod_directories(engine.data_dir)},
    )
    steps.supervisors_settle(engine.data_dir)
    host_view.nothing_left(engine.data_dir, uuid, inside)


def inside_of(engine: Engine, uuid: str) -> host_view.Inside:
    return host_view.Inside(host_view.keeper(host_view.pod_directory(engine.data_dir, uuid), "init"))


class Caller:
    """A program in a process of its own that runs pods and says when it is where the test wants it."""

    def __init__(self, engine: Engine, lines: str, *more: str) -> None:
        program = (
            f"import os, sys, time\nfrom carob import App, Engine\nengine = Engine(sys.argv[1])\n{lines}"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(carob.__file__).parent.parent)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, engine.data_dir, *more],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


IN_BLOCK = """
with engine.run(App("busybox", ["sleep", "1000"])) as pod:
    print(pod.uuid, flush=True)
    time.sleep(1000)
"""

RUN_AND_SAY = """
pod = engine.run(App("busybox", ["sleep", "1000"]){options})
print(pod.uuid, flush=True)
time.sleep(1000)
"""


# --- with -----------------------------------------------------------------------------------------


def test_block_ends_and_removes_its_pod(engine: Engine) -> None:
    with engine.run(FOREVER) as pod:
        inside = inside_of(engine, pod.uuid)
        assert state(pod) == "running"
    host_view.nothing_left(engine.data_dir, pod.uuid, inside)
    with pytest.raises(ZeroDivisionError), engine.run(FOREVER) as pod:
        raise ZeroDivisionError
    host_view.nothing_left(engine.data_dir, pod.uuid)


def test_block_of_a_pod_that_was_removed_in_it(engine: Engine) -> None:
    with engine.run(FOREVER) as pod:
        pod.remove(force=True)
    with engine.run(BRIEF) as pod:
        pod.wait(timeout_s=SOON_S)
        assert engine.gc(grace_s=0).deleted == [pod.uuid]


def test_block_of_a_prepared_pod(engine: Engine) -> None:
    with engine.prepare(FOREVER) as pod:
        assert state(pod) == "prepared"
    host_view.nothing_left(engine.data_dir, pod.uuid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_caller_that_dies_in_the_block_takes_the_pod_along(engine: Engine, number: int) -> None:
    with Caller(engine, IN_BLOCK) as caller:
        uuid = caller.says()
        inside = inside_of(engine, uuid)
        caller.process.send_signal(number)
        caller.process.wait()
        vanishes(engine, uuid, inside)
    assert engine.handle(uuid).wait(timeout_s=SOON_S).outcome == "killed"


def test_pytest_killed_inside_a_block_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    test = tmp_path / "test_victim.py"
    test.write_text(
        "import os, time\n"
        "from carob import App, Engine\n"
        "def test_it():\n"
        "    engine = Engine(os.environ['DATA_DIR'])\n"
        "    app = App('busybox', ['sleep', '1000'])\n"
        "    with engine.run(app) as one, engine.run(app) as two:\n"
        "        os.write(int(os.environ['TELL']), f'{one.uuid} {two.uuid}'.encode())\n"
        "        time.sleep(1000)\n"
    )
    reading, writing = os.pipe()
    environment = {
        **os.environ,
        "DATA_DIR": engine.data_dir,
        "TELL": str(writing),
        "PYTHONPATH": str(Path(carob.__file__).parent.parent),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, test],
        env=environment,
        pass_fds=[writing],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        os.close(writing)
        uuids = os.read(reading, 1000).decode().split()
        assert len(uuids) == 2
    finally:
        process.kill()
        process.wait()
        os.close(reading)
    for uuid in uuids:
        vanishes(engine, uuid)


def test_caller_that_dies_with_its_monitor_dead_leaves_an_ended_pod(engine: Engine) -> None:
    with Caller(engine, IN_BLOCK) as caller:
        uuid = caller.says()
        inside = inside_of(engine, uuid)
        monitor = host_view.keeper(host_view.pod_directory(engine.data_dir, uuid), "monitor")
        os.kill(monitor, signal.SIGKILL)
        host_view.wait_gone(monitor)
        caller.kill()
        host_view.eventually("the pod ends", lambda: not inside.survivors())
    assert state(engine.handle(uuid)) == "exited"
    assert engine.gc(grace_s=0).deleted == [uuid]
    host_view.nothing_left(engine.data_dir, uuid, inside)


def test_two_callers_are_tied_and_either_ends_it(engine: Engine) -> None:
    attach = "with engine.get(sys.argv[2]) as pod:\n    print('in', flush=True)\n    time.sleep(1000)\n"
    pod = engine.run(FOREVER)
    with Caller(engine, attach, pod.uuid) as one, Caller(engine, attach, pod.uuid) as two:
        assert (one.says(), two.says()) == ("in", "in")
        assert state(pod) == "running"
        two.kill()
        vanishes(engine, pod.uuid)


# --- tied, and not --------------------------------------------------------------------------------


def test_tied_run_ends_with_its_caller(engine: Engine) -> None:
    with Caller(engine, RUN_AND_SAY.format(options=", tied=True")) as caller:
        uuid = caller.says()
        inside = inside_of(engine, uuid)
        caller.kill()
        vanishes(engine, uuid, inside)


def test_pod_that_is_not_tied_outlives_its_caller(engine: Engine) -> None:
    with Caller(engine, RUN_AND_SAY.format(options="")) as caller:
        uuid = caller.says()
        caller.kill()
        pod = engine.get(uuid)
        assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"
        assert state(pod) == "running"


def test_tied_caller_killed_at_every_step_of_run(engine: Engine) -> None:
    for _ in steps.killed_at_every_step(lambda: run_and_hold(engine), at_least=20):
        steps.supervisors_settle(engine.data_dir)
        for status in engine.list():
            # Before it ran there was nobody to remove it: that is gc's work.
            assert str(status.state) in ("prepared", "aborted prepare", "embryo"), status
        uuids = [path.name for path in host_view.pod_directories(engine.data_dir)]
        assert engine.gc(grace_s=0, expire_prepared_s=0).problems == []
        for uuid in uuids:
            host_view.nothing_left(engine.data_dir, uuid)
    assert host_view.pod_directories(engine.data_dir) == []


def run_and_hold(engine: Engine) -> None:
    """Run a tied pod and die without a word: the last of the steps at which a caller can be killed."""
    engine.run(FOREVER, tied=True)


# --- callers that fork ----------------------------------------------------------------------------


class Heirs:
    """Children that a caller forked without exec, holding all that it had; they live as long as this."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def __enter__(self) -> Heirs:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._writing)
        # Every heir has the other end; the pipe is hung up when the last of them has gone.
        os.close(self._reading)

    def fork(self) -> None:
        """Called in the caller: leave a child behind that does nothing."""
        if os.fork() == 0:
            os.close(self._writing)
            os.read(self._reading, 1)
            os._exit(0)


def in_caller(work: Callable[[], object], heirs: Heirs, number: int) -> tuple[bool, int]:
    """Do `work` in a caller that forks an heir before step `number`; say whether it did, and its status."""
    reading, writing = os.pipe()

    def act() -> None:
        os.write(writing, b"x")
        heirs.fork()

    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(heirs_writing(heirs))
            steps.before_step(number, act)
            work()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    try:
        _, status = os.waitpid(child, 0)
        os.set_blocking(reading, False)
        forked = bool(select.select([reading], [], [], 0)[0])
        return forked, status
    finally:
        os.close(reading)
        os.close(writing)


def heirs_writing(heirs: Heirs) -> int:
    """In a caller, the end that keeps the heirs alive is the test's alone: what is closed here is a copy."""
    copy = heirs._writing
    heirs._writing = os.open("/dev/null", os.O_RDONLY)
    return copy


def test_caller_forks_at_every_step_of_run_and_no_lock_is_kept(engine: Engine) -> None:
    number, forked = 0, True
    while forked:
        number += 1
        with Heirs() as heirs:
            forked, status = in_caller(lambda: engine.run(BRIEF, timeout_s=SOON_S), heirs, number)
            assert status == 0, f"step {number}"
            (pod,) = [engine.handle(path.name) for path in host_view.pod_directories(engine.data_dir)]
            assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
            assert state(pod) == "exited"
            pod.remove()
            host_view.nothing_left(engine.data_dir, pod.uuid)
    assert number > 20


BEFORE_RUN = ("prepared", "aborted prepare", "embryo")


def test_caller_killed_right_after_it_forked_leaves_true_states(engine: Engine) -> None:
    number, began, forked = 0, False, True
    while forked:
        number += 1
        with Heirs() as heirs:
            killed = steps.in_child(
                lambda: with_heir_then_die(heirs, engine), number, lambda h=heirs: fork_and_die(h)
            )
            assert killed
            steps.supervisors_settle(engine.data_dir)
            host_view.eventually(
                "the heir lets go of the lock",
                lambda: all(str(status.state) in BEFORE_RUN for status in engine.list()),
            )
            left = host_view.pod_directories(engine.data_dir)
            began = began or bool(left)
            forked = bool(left) or not began  # nothing left: it died after the pod ran, and that was removed
            assert engine.gc(grace_s=0, expire_prepared_s=0).problems == []
            assert host_view.pod_directories(engine.data_dir) == []
        if number > 200:
            pytest.fail("it never comes to its end")
    assert number > 20


def with_heir_then_die(heirs: Heirs, engine: Engine) -> None:
    os.close(heirs_writing(heirs))
    engine.run(FOREVER, tied=True, timeout_s=SOON_S)
    steps.die()


def fork_and_die(heirs: Heirs) -> None:
    heirs.fork()
    steps.die()


def test_a_prepared_pod_that_is_run_in_a_block_is_tied(engine: Engine, tmp_path: Path) -> None:
    code = (
        "import sys; from carob import App, Engine\n"
        "with Engine(sys.argv[1]).prepare(App('busybox', ['sleep', '1000'])) as pod:\n"
        "    pod.run(); print(pod.uuid, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, engine.data_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as caller:
        assert caller.stdout is not None
        uuid = caller.stdout.readline().strip()
        assert engine.get(uuid).status().state == "running"
        caller.kill()
    host_view.eventually("the pod is removed", lambda: host_view.pod_directories(engine.data_dir) == [])
