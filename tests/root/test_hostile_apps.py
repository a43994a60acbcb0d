"""Apps that do their worst, each beside an app of its pod and one of another, which notice nothing."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob import (
    App,
    CarobError,
    Engine,
    Exited,
    MemoryVolume,
    Mount,
    OutOfMemory,
    PodHandle,
    Resources,
    Signaled,
)
from carob.engine.observe.ends import AppEnd
from carob.engine.prepare import isolation
from carob.engine.request.log_limits import LogLimits
from carob.errors import CommandFailed, Conflict, TimedOut
from tests.needs import require_command, require_root
from tests.root import host_view
from tests.root.conftest import make_engine
from tests.root.test_exec import init_of, open_of, settled

SOON_S = 60
PROMPTLY_S = 10
"""Far more than an answer takes, and far less than one that waits for somebody to be done."""
MIB = 1 << 20
COUNTS = "i=0; while :; do echo $((i=i+1)); sleep 0.01; done"
GOOD = App("busybox", ["sh", "-c", COUNTS], name="good", resources=Resources(pids=20))


def bad(script: str, **options: object) -> App:
    return App("busybox", ["sh", "-c", script], name="bad", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shared_engine(
    tmp_path_factory: pytest.TempPathFactory, rootfs: Path, supervisor_launcher: tuple[str, ...]
) -> Iterator[Engine]:
    require_root()
    require_command("crun")
    made = make_engine(tmp_path_factory.mktemp("hostile") / "data", rootfs, supervisor_launcher)
    try:
        yield made
    finally:
        host_view.end_all(made.data_dir)


@pytest.fixture(scope="module")
def neighbour(shared_engine: Engine) -> Iterator[PodHandle]:
    """A pod that none of them is in."""
    with shared_engine.run(GOOD, log_limits=LogLimits(MIB, 2)) as pod:
        yield pod


class Beside:
    """A hostile app with its neighbours, in a block after which its pod ends and nothing of it is left."""

    def __init__(self, engine: Engine, neighbour: PodHandle) -> None:
        self._engine = engine
        self._neighbour = neighbour

    @contextlib.contextmanager
    def run(self, hostile: App, **options: object) -> Iterator[PodHandle]:
        pod = self._engine.run(hostile, GOOD, log_limits=LogLimits(MIB, 2), **options)  # type: ignore[arg-type]
        inside = host_view.Inside(init_of(self._engine, pod))
        try:
            yield pod
            self.assert_unharmed(pod)
            pod.stop(grace_s=0)
            assert inside.survivors() == []
        finally:
            pod.remove(force=True)
        host_view.nothing_left(self._engine.data_dir, pod.uuid, inside)
        unharmed(self._neighbour)

    def assert_unharmed(self, pod: PodHandle) -> None:
        unharmed(pod)
        unharmed(self._neighbour)


def unharmed(pod: PodHandle) -> None:
    """The app ``good`` goes on, what it writes is in its log, and whoever asks something is answered."""
    before = last(pod)
    host_view.eventually("it counts on", lambda: last(pod) > before, PROMPTLY_S)
    assert pod.exec(["echo", "fine"], app="good", text=True, timeout_s=PROMPTLY_S).stdout == "fine\n"
    status = pod.status()
    assert (str(status.state), status.app("good").state, status.app("good").restarts) == (
        "running",
        "running",
        0,
    )


def last(pod: PodHandle) -> int:
    return int((pod.logs("good", tail=1).text().split() or ["0"])[-1])


def said(pod: PodHandle, text: str) -> None:
    host_view.eventually(f"it says {text}", lambda: text in pod.logs("bad").text())


@pytest.fixture
def beside(shared_engine: Engine, neighbour: PodHandle) -> Beside:
    return Beside(shared_engine, neighbour)


# --- what it writes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script", ["exec yes", "yes | tr -d '\\n'", "yes >&2 & exec yes"], ids=["lines", "no newline", "both"]
)
def test_floods_its_log(beside: Beside, shared_engine: Engine, script: str) -> None:
    with beside.run(bad(script)) as pod:
        logs = Path(host_view.pod_directory(shared_engine.data_dir, pod.uuid), "carob/logs")

        first = {*host_view.eventually("its log is full", lambda: [*logs.glob("bad.log.*")])}
        host_view.eventually("its log has gone round", lambda: not first & set(logs.glob("bad.log.*")))
        beside.assert_unharmed(pod)
        pod.pause(app="bad")
        sizes = [path.stat().st_size for path in logs.glob("bad.log*")]
        assert len(sizes) <= 2
        assert sum(sizes) <= 2 * MIB + 100_000
        assert set(pod.logs("bad", tail=3).text()) <= {"y", "\n"}


def test_writes_one_line_in_many_pieces(beside: Beside) -> None:
    script = "i=0; while [ $((i=i+1)) -le 20000 ]; do printf .; done; echo; echo done; exec sleep 1000"
    with beside.run(bad(script)) as pod:
        said(pod, "done")
        assert pod.logs("bad").text() == "." * 20000 + "\ndone\n"


# --- what it takes --------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [60, None], ids=["its limit", "the usual limit"])
def test_forks_without_end(beside: Beside, limit: int | None) -> None:
    own = None if limit is None else Resources(pids=limit)
    with beside.run(bad("exec sleep 1000", resources=own)) as pod:
        with pod.start(["sh", "-c", "while :; do sleep 1000 & done"], app="bad") as bomb:
            assert bomb.wait() == Exited(2), "no more can be had"
        assert pod.stats().apps["bad"].pids >= (limit or isolation.PIDS) - 2
        beside.assert_unharmed(pod)


def test_fills_its_memory(beside: Beside) -> None:
    limits = Resources(memory_bytes=24 * MIB, memory_swap_bytes=24 * MIB)
    with beside.run(bad("a=x; while :; do a=$a$a; done", resources=limits, restart="always")) as pod:
        host_view.eventually(
            "it was killed for that", lambda: pod.status().app("bad").last_end == OutOfMemory()
        )


def test_opens_thousands_of_files(beside: Beside) -> None:
    script = (
        "ulimit -n $(ulimit -Hn); i=10;"
        ' while [ $i -lt 4000 ]; do eval "exec $i</etc/passwd" || break; i=$((i+1)); done;'
        " echo opened $i; exec sleep 1000"
    )
    with beside.run(bad(script)) as pod:
        said(pod, "opened 4000")


def test_fills_a_volume_in_memory(beside: Beside) -> None:
    mounts = [Mount(MemoryVolume(size_bytes=MIB), "/m")]
    with beside.run(bad("cat /dev/zero >/m/x; echo ended $?; exec sleep 1000", mounts=mounts)) as pod:
        said(pod, "ended 1")
        assert pod.exec(["sh", "-c", "wc -c </m/x"], app="bad", text=True).stdout.split() == [str(MIB)]


@pytest.fixture
def small_disk(tmp_path: Path, rootfs: Path, supervisor_launcher: tuple[str, ...]) -> Iterator[Engine]:
    """An engine with a file system of its own, of which little is free."""
    require_root()
    require_command("crun")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "carob-test", place], check=True)
    try:
        made = make_engine(place / "data", rootfs, supervisor_launcher)
        try:
            yield made
        finally:
            host_view.end_all(made.data_dir)
    finally:
        subprocess.run(["umount", place], check=True)


def test_fills_the_disk(small_disk: Engine) -> None:
    """While it is full all can be asked and ended, and what is lost of logs is marked; then all goes on."""
    ending = small_disk.run(App("busybox", ["sleep", "1000"], name="ending"))
    neighbour = small_disk.run(GOOD)
    pod = small_disk.run(bad("cat /dev/zero >/x; echo full; exec sleep 1000"), GOOD)
    host_view.eventually("nothing is free", lambda: not os.statvfs(small_disk.data_dir).f_bavail)
    for one in (pod, neighbour):
        assert one.exec(["echo", "fine"], app="good", text=True, timeout_s=PROMPTLY_S).stdout == "fine\n"
    assert {str(status.state) for status in small_disk.list()} == {"running"}
    with pytest.raises(CarobError, match="space") as caught:
        small_disk.run(GOOD)
    ending.stop(grace_s=0)
    ending.remove()
    if caught.value.uuid:
        small_disk.handle(caught.value.uuid).remove(force=True)
    pod.exec(["rm", "/x"], app="bad", check=True)
    for one in (pod, neighbour):
        unharmed(one)
        one.stop(grace_s=0)
        assert one.status().app("good").end == Signaled(9)
        one.remove()
    assert small_disk.gc(grace_s=0).problems == []
    assert small_disk.list() == []


def test_floods_the_pods_loopback(beside: Beside) -> None:
    script = (
        "for port in 1 2 3; do nc -ll -p $port -e cat >/dev/null & done; sleep 0.2;"
        " for port in 1 2 3; do (while :; do nc 127.0.0.1 $port </dev/zero >/dev/null; done) & done;"
        " echo flooding; wait"
    )
    with beside.run(bad(script)) as pod:
        said(pod, "flooding")
        host_view.eventually("much has passed", lambda: received(pod) > 50 * MIB)


def received(pod: PodHandle) -> int:
    """The bytes that came in over the loopback interface of the pod."""
    table = pod.exec(["cat", "/proc/net/dev"], app="good", text=True).stdout
    return next(int(line.split()[1]) for line in table.splitlines() if line.lstrip().startswith("lo:"))


# --- how it behaves -------------------------------------------------------------------------------

ALL_SIGNALS = " ".join(str(number) for number in range(1, 65) if number not in (9, 19, 32, 33))


@pytest.mark.parametrize("trap", ["''", ":"], ids=["ignored", "handled"])
def test_heeds_no_signal(beside: Beside, trap: str) -> None:
    with beside.run(bad(f"trap {trap} {ALL_SIGNALS}; echo ready; while :; do sleep 0.1; done")) as pod:
        said(pod, "ready")
        for number in (15, 2, 1, 3, 20, 21, 22, 10):
            pod.signal(number, app="bad")
        assert pod.status().app("bad").state == "running"
        pod.restart(app="bad", grace_s=0.1)
        assert pod.status().app("bad").last_end == Signaled(9)


def test_becomes_a_daemon(beside: Beside) -> None:
    """What it leaves behind ends with it, whatever session and parent that has."""
    script = "(setsid sh -c '(setsid sleep 999 &) ; exec sleep 998' &) ; echo ready; exec sleep 997"
    with beside.run(bad(script)) as pod:
        said(pod, "ready")
        host_view.eventually("it has daemons", lambda: len(pod.top("bad")) == 3)
        old = {process.pid for process in pod.top("bad")}
        pod.restart(app="bad", grace_s=0)
        assert [pid for pid in old if host_view.is_alive(pid)] == []


def test_closes_all_that_it_has(beside: Beside) -> None:
    with beside.run(bad("exec 0<&- 1>&- 2>&-; while :; do sleep 0.1; done")) as pod:
        host_view.eventually("it has closed all", lambda: all_closed(pod))
        assert pod.exec(["echo", "still"], app="bad", text=True).stdout == "still\n"


def all_closed(pod: PodHandle) -> bool:
    return not pod.exec(["sh", "-c", "ls /proc/1/fd"], app="bad", text=True).stdout.strip("10\n")


@pytest.mark.parametrize("target", ["-1", "0", "1", "$PPID", "-$$"])
@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_signals_all_that_it_can(beside: Beside, signal: str, target: str) -> None:
    with beside.run(
        bad(f"echo ready; while :; do kill -{signal} {target}; sleep 0.01; done", restart="always")
    ) as pod:
        said(pod, "ready")


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_stops_what_is_started_in_it(beside: Beside, shared_engine: Engine, runtime: str) -> None:
    """Nobody waits for that longer than he wants to, and nothing of it is left."""
    script = "echo ready; trap 'exec sleep 1000' USR1; while :; do kill -STOP -1; done"
    require_command(runtime)
    with beside.run(bad(script), runtime=runtime) as pod:
        said(pod, "ready")
        init = init_of(shared_engine, pod)
        files, processes = settled(init), len(host_view.descendants(init))
        host_view.eventually("three were held up", lambda: sum(held_up(pod) for _ in range(3)) == 3)
        host_view.eventually("init has closed all", lambda: open_of(init) == files)
        host_view.eventually("none of it is left", lambda: len(host_view.descendants(init)) == processes)
        pod.signal(10, app="bad")
        host_view.eventually("it can be entered again", lambda: entered(pod))


def held_up(pod: PodHandle) -> bool:
    """Whether one was before it ran; one that is quick enough is stopped after that."""
    with pytest.raises(TimedOut) as caught:
        pod.exec(["sleep", "1000"], app="bad", timeout_s=0.2)
    return "was not started in app bad within 0.2 s" in str(caught.value)


def entered(pod: PodHandle) -> bool:
    try:
        return not pod.exec(["true"], app="bad", timeout_s=1).returncode
    except TimedOut:
        return False


def test_those_who_share_their_processes_can_end_their_own_pod_alone(
    shared_engine: Engine, neighbour: PodHandle
) -> None:
    script = "while [ ! -e /go ]; do sleep 0.01; done; kill -STOP 1; kill -KILL 1; kill -KILL -1"
    with shared_engine.run(bad(script), GOOD, pid="pod") as pod:
        with contextlib.suppress(CarobError):
            pod.exec(["touch", "/go"], app="bad")  # is killed as well, where it is quick
        pod.wait(timeout_s=SOON_S)
        assert pod.status().app("good").end == Signaled(9)
        unharmed(neighbour)
        pod.remove()
    host_view.nothing_left(shared_engine.data_dir, pod.uuid)


def test_ends_in_the_moment_of_an_exec(beside: Beside, shared_engine: Engine) -> None:
    """Whoever asks is told of an end, or why there is none, and init keeps nothing of it."""
    with beside.run(bad("exec sleep 1000")) as pod:
        init = init_of(shared_engine, pod)
        before, over = settled(init), threading.Event()

        def end_again_and_again() -> None:
            while not over.wait(random.random() * 0.1):
                pod.restart(app="bad", grace_s=0)

        thread = threading.Thread(target=end_again_and_again)
        thread.start()
        seen: list[AppEnd | str] = []
        wanted = {Exited(0), Signaled(9), "refused"}
        try:
            while len(seen) < 100 or (not wanted <= {*seen} and len(seen) < 1000):
                try:
                    with pod.start(["sleep", "0.005"], app="bad", tty=len(seen) % 3 == 0) as execution:
                        seen.append(execution.wait())
                except (CommandFailed, Conflict):
                    seen.append("refused")
        finally:
            over.set()
            thread.join()
        assert {*seen} == wanted
        host_view.eventually("init has closed all", lambda: len(open_of(init)) == len(before))
