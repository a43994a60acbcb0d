from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carob.errors import Conflict, CorruptData, NotFound, TimedOut
from carob.linux import inotify
from carob.pod import Pod, alarm, new_pod, open_pod
from carob.pod.state import Directory, State
from tests.unit.pod.made import MANIFEST, UUID, locked, make, uuid_of

LONG_S = 30.0

HOLDER = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
for name in sys.argv[2:]:
    with open(f"{sys.argv[1]}/{name}", "w") as file:
        file.write(str(os.getpid()))
print("held", flush=True)
if sys.stdin.readline() == "unlock\\n":
    fcntl.flock(fd, fcntl.LOCK_UN)
    print("free", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def held_by_a_process(path: str, *pid_files: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the pod's lock, and is named in ``pid_files``, until it is told or killed."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", HOLDER, path, *pid_files],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def in_background(act: Callable[[], object]) -> threading.Thread:
    def soon() -> None:
        time.sleep(0.05)
        act()

    thread = threading.Thread(target=soon)
    thread.start()
    return thread


Wait = Callable[..., object]


def in_a_loop(name: str) -> Wait:
    def wait(pod: Pod, timeout_s: float | None) -> object:
        async def main() -> object:
            return await getattr(pod, name + "_async")(timeout_s=timeout_s)

        return asyncio.run(main())

    return wait


def in_this_thread(name: str) -> Wait:
    def wait(pod: Pod, timeout_s: float | None) -> object:
        return getattr(pod, name)(timeout_s=timeout_s)

    return wait


@pytest.fixture(params=["sync", "async"])
def waiting(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Wait]]:
    """Both forms of every wait; neither may leave a descriptor, a thread or a subscription."""
    before = sorted(os.listdir("/proc/self/fd"))
    yield in_this_thread if request.param == "sync" else in_a_loop
    assert inotify._shared is None
    assert not alarm._readers
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("directory", "is_locked", "state"),
    [
        (Directory.PREPARE, False, State.ABORTED_PREPARE),
        (Directory.RUN, False, State.EXITED),
        (Directory.EXITED_GARBAGE, False, State.EXITED_GARBAGE),
        (Directory.EXITED_GARBAGE, True, State.EXITED_DELETING),
        (Directory.GARBAGE, False, State.GARBAGE),
        (Directory.GARBAGE, True, State.DELETING),
    ],
)
def test_finished_at_once(
    data_dir: str, waiting: Callable[[str], Wait], directory: Directory, is_locked: bool, state: State
) -> None:
    path = make(data_dir, directory)
    holder = locked(path) if is_locked else None
    if holder is not None:
        holder.__enter__()
    with open_pod(data_dir, UUID) as pod:
        assert waiting("wait_finished")(pod, 0) is state
    if holder is not None:
        holder.__exit__(None, None, None)


@pytest.mark.parametrize("timeout_s", [0, 0.02])
@pytest.mark.parametrize("directory", [Directory.EMBRYO, Directory.PREPARED])
def test_unfinished_in_time(
    data_dir: str, waiting: Callable[[str], Wait], directory: Directory, timeout_s: float
) -> None:
    make(data_dir, directory)
    with open_pod(data_dir, UUID) as pod, pytest.raises(TimedOut):
        waiting("wait_finished")(pod, timeout_s)


@pytest.mark.parametrize("pid_files", [("pid",), ("ppid",), ("pid", "ppid"), ()])
def test_woken_when_the_holder_dies(
    data_dir: str, waiting: Callable[[str], Wait], pid_files: tuple[str, ...]
) -> None:
    path = make(data_dir, Directory.RUN)
    with held_by_a_process(path, *pid_files) as holder, open_pod(data_dir, UUID) as pod:
        assert pod.state() is State.RUNNING
        thread = in_background(holder.kill)
        assert waiting("wait_finished")(pod, LONG_S) is State.EXITED
        thread.join()


def test_woken_by_the_death_and_not_by_the_clock(
    data_dir: str, waiting: Callable[[str], Wait], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_FIRST_PAUSE_S", "_LONGEST_PAUSE_S", "_WATCHED_PAUSE_S"):
        monkeypatch.setattr(alarm, name, 10 * LONG_S)
    path = make(data_dir, Directory.RUN)
    with held_by_a_process(path, "pid") as holder, open_pod(data_dir, UUID) as pod:
        thread = in_background(holder.kill)
        assert waiting("wait_finished")(pod, LONG_S) is State.EXITED
        thread.join()


@pytest.mark.parametrize("first", ["pid", "ppid"])
def test_one_of_two_dies_and_the_other_keeps_the_lock(
    data_dir: str, waiting: Callable[[str], Wait], first: str
) -> None:
    path = make(data_dir, Directory.RUN)
    second = "ppid" if first == "pid" else "pid"
    sleeper = subprocess.Popen(["sleep", "60"])
    Path(path, first).write_text(str(sleeper.pid))
    with held_by_a_process(path, second) as holder, open_pod(data_dir, UUID) as pod:
        thread = in_background(sleeper.kill)
        with pytest.raises(TimedOut):
            waiting("wait_finished")(pod, 0.3)
        thread.join()
        sleeper.wait()
        thread = in_background(holder.kill)
        assert waiting("wait_finished")(pod, LONG_S) is State.EXITED
        thread.join()


def test_a_lock_let_go_by_a_process_that_lives_on(data_dir: str, waiting: Callable[[str], Wait]) -> None:
    path = make(data_dir, Directory.RUN)
    with held_by_a_process(path, "ppid") as holder, open_pod(data_dir, UUID) as pod:
        assert holder.stdin is not None
        stdin = holder.stdin

        def unlock() -> None:
            stdin.write("unlock\n")
            stdin.flush()

        thread = in_background(unlock)
        assert waiting("wait_finished")(pod, LONG_S) is State.EXITED
        assert holder.poll() is None
        thread.join()


def test_pids_of_strangers_do_not_hold_up_a_wait(data_dir: str, waiting: Callable[[str], Wait]) -> None:
    """The files are older than the processes that have their numbers now."""
    path = make(data_dir, Directory.RUN)
    with held_by_a_process(path, "other") as holder, open_pod(data_dir, UUID) as pod:
        for name in ("pid", "ppid"):
            Path(path, name).write_text(str(os.getpid()))
            os.utime(f"{path}/{name}", (1, 1))
        thread = in_background(holder.kill)
        assert waiting("wait_finished")(pod, LONG_S) is State.EXITED
        thread.join()


def test_from_preparing_over_prepared_and_running_to_the_end(
    data_dir: str, waiting: Callable[[str], Wait]
) -> None:
    with new_pod(data_dir) as creator, open_pod(data_dir, creator.uuid) as pod:

        def live() -> None:
            for step in (creator.to_prepared, creator.to_run, creator.unlock):
                step()
                time.sleep(0.03)

        thread = in_background(live)
        assert waiting("wait_finished")(pod, LONG_S) is State.EXITED
        thread.join()


def test_an_aborted_prepare_is_noticed(data_dir: str, waiting: Callable[[str], Wait]) -> None:
    with new_pod(data_dir) as creator, open_pod(data_dir, creator.uuid) as pod:
        thread = in_background(creator.unlock)
        assert waiting("wait_finished")(pod, LONG_S) is State.ABORTED_PREPARE
        thread.join()


def test_a_prepared_pod_that_is_removed(
    data_dir: str, waiting: Callable[[str], Wait], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm, "_WATCHED_PAUSE_S", 10 * LONG_S)
    path = make(data_dir, Directory.PREPARED)
    with open_pod(data_dir, UUID) as pod:
        thread = in_background(lambda: os.rmdir(path))
        assert waiting("wait_finished")(pod, LONG_S) is State.GONE
        thread.join()


@pytest.mark.parametrize("call", ["subscribe", "open_pidfd"])
def test_without_events_the_clock_does(
    data_dir: str, waiting: Callable[[str], Wait], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def none_left(*arguments: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(*((inotify, call) if call == "subscribe" else (alarm, call)), none_left)
    monkeypatch.setattr(alarm, "_WATCHED_PAUSE_S", 10 * LONG_S)
    path = make(data_dir, Directory.RUN)
    with held_by_a_process(path, "pid") as holder, open_pod(data_dir, UUID) as pod:
        thread = in_background(holder.kill)
        assert waiting("wait_finished")(pod, LONG_S) is State.EXITED
        thread.join()


@pytest.mark.parametrize("overlay", [False, True])
def test_ready(
    data_dir: str, waiting: Callable[[str], Wait], monkeypatch: pytest.MonkeyPatch, overlay: bool
) -> None:
    for name in ("_LONGEST_PAUSE_S", "_WATCHED_PAUSE_S"):
        monkeypatch.setattr(alarm, name, 10 * LONG_S)
    files = {"overlay_D_prepared": b"", "stage1TreeStoreID": b"id"} if overlay else {}
    path = make(data_dir, Directory.RUN, **files)
    rootfs = Path(path, "overlay/id/upper" if overlay else "stage1/rootfs")
    with held_by_a_process(path, "pid"), open_pod(data_dir, UUID) as pod:

        def get_ready() -> None:
            (rootfs / "rkt").mkdir(parents=True)
            time.sleep(0.02)
            (rootfs / "rkt" / "supervisor-status").symlink_to("starting")
            (rootfs / "rkt" / "new").symlink_to("ready")
            (rootfs / "rkt" / "new").rename(rootfs / "rkt" / "supervisor-status")

        thread = in_background(get_ready)
        assert waiting("wait_ready")(pod, LONG_S) is State.RUNNING
        thread.join()
        assert waiting("wait_ready")(pod, 0) is State.RUNNING


def test_ready_is_waited_for_from_prepared_on(data_dir: str, waiting: Callable[[str], Wait]) -> None:
    path = make(data_dir, Directory.PREPARED, stage1__rootfs__rkt__x=b"")
    with open_pod(data_dir, UUID) as runner, open_pod(data_dir, UUID) as pod:

        def run() -> None:
            runner.to_run()
            time.sleep(0.03)
            os.symlink("ready", f"{runner.path()}/stage1/rootfs/rkt/supervisor-status")

        thread = in_background(run)
        assert waiting("wait_ready")(pod, LONG_S) is State.RUNNING
        thread.join()
    assert not os.path.exists(path)


def test_a_pod_that_ends_without_having_been_ready(data_dir: str, waiting: Callable[[str], Wait]) -> None:
    path = make(data_dir, Directory.RUN)
    with held_by_a_process(path, "pid") as holder, open_pod(data_dir, UUID) as pod:
        thread = in_background(holder.kill)
        with pytest.raises(Conflict, match="never ready"):
            waiting("wait_ready")(pod, LONG_S)
        thread.join()


def test_process_1_from_either_file(data_dir: str, waiting: Callable[[str], Wait]) -> None:
    make(data_dir, Directory.RUN, pid=b"4711", ppid=b"1")
    make(data_dir, Directory.PREPARED, uuid_of(1), pid=b"5")
    parent = subprocess.Popen(["sh", "-c", "sleep 60 & echo; exec sleep 61"], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    with open(f"/proc/{parent.pid}/task/{parent.pid}/children") as file:
        child = int(file.read())
    make(data_dir, Directory.RUN, uuid_of(2), ppid=str(parent.pid).encode())
    try:
        for uuid, pid in ((UUID, 4711), (uuid_of(1), 5), (uuid_of(2), child)):
            with open_pod(data_dir, uuid) as pod:
                assert waiting("container_pid1")(pod, 0) == pid
    finally:
        for pid in (child, parent.pid):
            os.kill(pid, 9)
        parent.wait()
        parent.stdout.close()


def test_process_1_is_waited_for(
    data_dir: str, waiting: Callable[[str], Wait], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_FIRST_PAUSE_S", "_LONGEST_PAUSE_S", "_WATCHED_PAUSE_S"):
        monkeypatch.setattr(alarm, name, 10 * LONG_S)
    path = make(data_dir, Directory.RUN)
    with locked(path), open_pod(data_dir, UUID) as pod:

        def write() -> None:
            with open(f"{path}/pid", "w") as file:
                file.flush()
                time.sleep(0.03)  # there, and empty still
                file.write("4711")

        thread = in_background(write)
        assert waiting("container_pid1")(pod, LONG_S) == 4711
        thread.join()


def test_process_1_of_a_pod_that_does_not_run(data_dir: str, waiting: Callable[[str], Wait]) -> None:
    for directory in (Directory.PREPARED, Directory.RUN):
        make(data_dir, directory, uuid_of(list(Directory).index(directory)))
    for directory in (Directory.PREPARED, Directory.RUN):
        with open_pod(data_dir, uuid_of(list(Directory).index(directory))) as pod, pytest.raises(Conflict):
            waiting("container_pid1")(pod, LONG_S)


def test_process_1_where_ppid_is_no_number(data_dir: str, waiting: Callable[[str], Wait]) -> None:
    path = make(data_dir, Directory.RUN, ppid=b"?")
    with locked(path), open_pod(data_dir, UUID) as pod, pytest.raises(CorruptData):
        waiting("container_pid1")(pod, LONG_S)


def test_process_1_of_a_pod_that_ends_meanwhile(data_dir: str, waiting: Callable[[str], Wait]) -> None:
    path = make(data_dir, Directory.RUN)
    with held_by_a_process(path) as holder, open_pod(data_dir, UUID) as pod:
        thread = in_background(holder.kill)
        with pytest.raises(Conflict, match="exited"):
            waiting("container_pid1")(pod, LONG_S)
        thread.join()


def test_a_pod_seen_in_a_walk_that_is_gone_when_it_is_waited_for(
    data_dir: str, waiting: Callable[[str], Wait]
) -> None:
    with Pod(data_dir, UUID, State.RUNNING) as pod:
        assert waiting("wait_finished")(pod, LONG_S) is State.GONE
        with pytest.raises((NotFound, Conflict)):
            waiting("container_pid1")(pod, LONG_S)


def test_a_cancelled_wait_leaves_nothing(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)
    before = sorted(os.listdir("/proc/self/fd"))

    async def main() -> None:
        within = sorted(os.listdir("/proc/self/fd"))
        waits = [
            asyncio.ensure_future(wait(timeout_s=None))
            for wait in (pod.wait_finished_async, pod.wait_ready_async, other.container_pid1_async)
        ]
        await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) > len(within)
        for wait in waits:
            wait.cancel()
        results = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert sorted(os.listdir("/proc/self/fd")) == within

    with held_by_a_process(path, "ppid"), open_pod(data_dir, UUID) as pod, open_pod(data_dir, UUID) as other:
        Path(path, "ppid").write_text(str(os.getpid()))
        os.unlink(f"{path}/ppid")
        asyncio.run(main())
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_thousand_waits_in_one_loop(data_dir: str) -> None:
    """With timeouts, of which some run out; a wait needs no thread and all share one inotify instance."""
    count = 1000
    for number in range(count):
        make(data_dir, Directory.PREPARED, uuid_of(number))

    async def main() -> list[object]:
        threads = threading.active_count()
        waits = [
            asyncio.ensure_future(pod.wait_finished_async(timeout_s=0.5 if number % 10 == 0 else LONG_S))
            for number, pod in enumerate(opened)
        ]
        await asyncio.sleep(0.2)
        assert threading.active_count() == threads
        links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        # The listing's own descriptor is closed by now.
        instances = [link for link in links if os.path.islink(link) and "inotify" in os.readlink(link)]
        assert len(instances) == 1
        await asyncio.sleep(0.5)
        for number in range(count):
            os.rmdir(f"{data_dir}/pods/prepared/{uuid_of(number)}")
            if number % 100 == 0:
                await asyncio.sleep(0)
        return list(await asyncio.gather(*waits, return_exceptions=True))

    opened = [Pod(data_dir, uuid_of(number), State.PREPARED) for number in range(count)]
    results = asyncio.run(main())
    assert {type(result) for result in results[::10]} == {TimedOut}
    assert {result for number, result in enumerate(results) if number % 10} == {State.GONE}
    for pod in opened:
        pod.close()


def test_waits_of_many_threads_and_a_loop_share_the_events(data_dir: str) -> None:
    """Whichever reads an event first must pass it on."""
    for number in range(24):
        make(data_dir, Directory.PREPARED, uuid_of(number), pod=MANIFEST)
    ended: list[object] = []

    def wait_here(number: int) -> None:
        with open_pod(data_dir, uuid_of(number)) as pod:
            ended.append(pod.wait_finished(timeout_s=LONG_S))

    async def wait_there() -> None:
        opened = [open_pod(data_dir, uuid_of(number)) for number in range(12, 24)]
        ended.extend(await asyncio.gather(*(pod.wait_finished_async(timeout_s=LONG_S) for pod in opened)))
        for pod in opened:
            pod.close()

    threads = [threading.Thread(target=wait_here, args=(number,)) for number in range(12)]
    threads.append(threading.Thread(target=lambda: asyncio.run(wait_there())))
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    for number in range(24):
        with open_pod(data_dir, uuid_of(number)) as pod:
            pod.to_garbage()
    for thread in threads:
        thread.join()
    assert ended == [State.GARBAGE] * 24


def test_nobody_holds_a_lock_while_waiting(data_dir: str) -> None:
    path = make(data_dir, Directory.PREPARED)
    with open_pod(data_dir, UUID) as pod:
        thread = threading.Thread(target=lambda: pod.wait_finished(timeout_s=LONG_S))
        thread.start()
        time.sleep(0.05)
        for _ in range(20):
            with locked(path):  # would fail at once
                pass
        os.rmdir(path)
        thread.join()
