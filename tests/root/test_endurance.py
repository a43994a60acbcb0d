"""A day's work on one pod, a thousand times over: its keepers and its caller give back all that it took."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carob import App, Engine, PodHandle
from carob.errors import CommandFailed
from tests import leaks
from tests.root import host_view
from tests.root.test_exec import init_of, open_of, settled
from tests.root.test_rest import restful as restful  # noqa: PLC0414 - a fixture
from tests.root.test_rest import resting

EXECS = 1000
ATTACHMENTS = 200
COPIES = 200
WARM_UP = 50
SIDE_BY_SIDE = 4
MOST_KB = 128
"""What a process may have grown by; one byte kept of each exec's pipes would already be more than that."""


class Keeper:
    """What one of the pod's keepers has at a moment: descriptors, processes below it, memory of its own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.files = settled(pid)
        self.processes = len(host_view.descendants(pid))
        self.memory_kb = anonymous_kb(pid)

    def assert_is_as_it_was(self) -> None:
        host_view.eventually("it has closed all", lambda: open_of(self.pid) == self.files)
        host_view.eventually(
            "all that it started is gone", lambda: len(host_view.descendants(self.pid)) == self.processes
        )
        grown_kb = anonymous_kb(self.pid) - self.memory_kb
        assert grown_kb <= MOST_KB, f"{host_view.read(f'/proc/{self.pid}/comm')} grew by {grown_kb} kB"


def anonymous_kb(pid: int) -> int:
    """The memory that is the process's own. (Of what it shares with others, its part changes with them.)"""
    rollup = host_view.read(f"/proc/{pid}/smaps_rollup").splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Anonymous:"))


@pytest.fixture
def pod(restful: Engine) -> Iterator[PodHandle]:
    apps = App("busybox", ["cat"], name="x", stdin="stream"), App("busybox", ["cat"], name="y", stdin="tty")
    with restful.run(*apps) as running:
        yield running


def execute(pod: PodHandle, number: int) -> None:
    """Once in a while with a terminal, and once what cannot be started."""
    if number % 20 == 0:
        with pod.start(["true"], app="x", tty=True) as execution:
            execution.wait()
    elif number % 20 == 1:
        with pytest.raises(CommandFailed):
            pod.exec(["no-such"], app="x")
    else:
        pod.exec(["true"], app="x", check=True)


def attach(pod: PodHandle, number: int) -> None:
    with pod.attach(app="xy"[number % 2]) as attached:
        attached.write(b"z")


def copy(pod: PodHandle, number: int, directory: Path) -> None:
    if number % 2:
        pod.copy_in(directory / "file", "/tmp", app="x")
    else:
        pod.copy_out("/etc/passwd", directory / f"out{number % SIDE_BY_SIDE}", app="x")


@pytest.mark.slow
def test_a_thousand_execs_and_hundreds_of_attachments_and_copies_leave_nothing(
    engine: Engine, pod: PodHandle, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(os.urandom(100_000))

    def work(executions: int, attachments: int, copies: int) -> None:
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            done = [pool.submit(execute, pod, number) for number in range(executions)]
            done += [pool.submit(attach, pod, number) for number in range(attachments)]
            done += [pool.submit(copy, pod, number, tmp_path) for number in range(copies)]
            for one in done:
                one.result()

    work(WARM_UP, WARM_UP, WARM_UP)
    monitor, init = Keeper(resting(pod)), Keeper(init_of(engine, pod))
    files = sorted(os.listdir(f"/proc/{init.pid}/root/run"))
    mine = leaks.descriptors()
    work(EXECS, ATTACHMENTS, COPIES)
    for keeper in (init, monitor):
        keeper.assert_is_as_it_was()
    assert sorted(os.listdir(f"/proc/{init.pid}/root/run")) == files
    assert leaks.descriptors() == mine
