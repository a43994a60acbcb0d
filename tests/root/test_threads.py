"""Many threads of one process with one engine."""

from __future__ import annotations

import sys

import pytest

from carob import Engine
from tests.root import host_view, interpreters

_THREADS = """
import os, sys, threading
from carob import App, Engine, Exited

engine = Engine(sys.argv[1], launcher=sys.argv[2:])
errors, uuids = [], []
start = threading.Barrier(16)


def work(number):
    try:
        start.wait(60)
        for turn in range(3):
            code = number * 3 + turn
            pod = engine.run(App("busybox", ["sh", "-c", f"echo {code}; exit {code}"]), name=f"n{number}")
            uuids.append(pod.uuid)
            end = pod.wait(timeout_s=100)
            assert end.apps == {"busybox": Exited(code)}, end
            assert pod.logs().text() == f"{code}\\n"
            assert pod.status().name == f"n{number}"
            assert pod.uuid in [one.uuid for one in engine.list()]
            pod.remove()
            assert pod.uuid not in [one.uuid for one in engine.list()]
            assert pod.wait().apps == end.apps
    except BaseException as error:
        errors.append(f"{number}: {error!r}")
        raise


def descriptors():
    return sorted(fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{fd}"))


before = descriptors()
threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not errors, errors
assert len(set(uuids)) == 48
assert engine.list() == []
assert descriptors() == before, (before, descriptors())
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("fine")
"""


@pytest.mark.slow
@pytest.mark.parametrize("which", ["this Python", "newest Python"])
def test_sixteen_threads_run_wait_for_and_remove_pods(
    engine: Engine, supervisor_launcher: tuple[str, ...], which: str
) -> None:
    if which == "this Python":
        python, launcher = sys.executable, supervisor_launcher
    else:
        python, launcher = interpreters.newest(), ()  # coverage is this Python's
    said = interpreters.run([python, "-W", "error", "-c", _THREADS, engine.data_dir, *launcher])
    assert said == "fine\n"
    assert host_view.pod_directories(engine.data_dir) == []


def test_threads_share_one_pod(engine: Engine) -> None:
    import threading

    from carob import App, Exited

    ends: list[object] = []
    with engine.run(App("busybox", ["sleep", "1000"])) as pod:

        def wait() -> None:
            ends.append(pod.wait(timeout_s=60).apps["busybox"])

        def execute(number: int) -> None:
            done = pod.exec(["sh", "-c", f"cat; exit {number}"], input=b"x" * 300_000 * number, timeout_s=60)
            ends.append((number, done.returncode, len(done.stdout)))

        waiting = [threading.Thread(target=wait) for _ in range(8)]
        executing = [threading.Thread(target=execute, args=(number,)) for number in range(8)]
        for thread in waiting + executing:
            thread.start()
        for thread in executing:
            thread.join()
        assert sorted(ends) == [(number, number, 300_000 * number) for number in range(8)]  # type: ignore[type-var]
        ends.clear()
        pod.stop(grace_s=0)
        for thread in waiting:
            thread.join()
    assert len(ends) == 8
    assert len(set(map(str, ends))) == 1
    assert not isinstance(ends[0], Exited) or ends[0].code != 0
