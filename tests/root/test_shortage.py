"""No descriptors left: every call says so, none is wrong, none leaves one open, and all is well after."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

import carob.aio
from carob import App, Engine, Exited, PodHandle
from carob.errors import CarobError, CorruptData, OutOfResources, Unavailable
from tests.leaks import descriptors
from tests.unit.engine.shortage import few_descriptors

MOST = 16
"""More than any of the calls needs."""


@pytest.fixture
def running(engine: Engine) -> Iterator[PodHandle]:
    with engine.run(App("busybox", ["sh", "-c", "echo hi; sleep 1000"])) as pod:
        next(pod.follow_logs())
        yield pod


@pytest.fixture
def ended(engine: Engine) -> PodHandle:
    pod = engine.run(App("busybox", ["sh", "-c", "echo hi; exit 3"]))
    assert pod.wait().apps == {"busybox": Exited(3)}
    return pod


TOLD = "Too many open files"


def answers(call: Callable[[], object]) -> list[object]:
    """Call with none, one, two … descriptors left; return what came of it, each time."""
    seen: list[object] = []
    for count in range(MOST):
        before = descriptors()
        try:
            with few_descriptors(count):
                result = call()
        except (OutOfResources, Unavailable) as error:
            result = TOLD if TOLD in f"{error} {error.__cause__}" else error
        assert descriptors() == before, f"with {count} descriptors"
        seen.append(result)
    return seen


def test_every_look_is_right_or_says_that_it_could_not_be(
    engine: Engine, running: PodHandle, ended: PodHandle
) -> None:
    looks: list[Callable[[], object]] = [
        lambda: repr(running.status()),
        lambda: repr(ended.status()),
        lambda: repr(ended.wait()),
        lambda: ended.logs().text(),
        lambda: [entry.data for batch in ended.log_batches() for _, entry in batch],
        running.manifest,
        running.wait_ready,
        lambda: running.signal(28),
        lambda: running.exec(["echo", "hi"], text=True).stdout,
        lambda: repr(engine.list()),
        lambda: repr(list(engine.summaries())),
        lambda: repr(engine.get(running.uuid[:20])),
        lambda: repr(engine.gc(mark_only=True)) and None,
    ]
    for look in looks:
        expected = look()
        seen = answers(look)
        assert (seen[0], seen[-1]) == (TOLD, expected)
        assert all(one in (TOLD, expected) for one in seen)


def test_images_in_use_are_not_taken_for_unused(engine: Engine, ended: PodHandle) -> None:
    for count in range(MOST):
        with pytest.raises(CarobError), few_descriptors(count):
            engine.images.remove("busybox")
    assert engine.images.resolve("busybox").name == "busybox:latest"


def test_a_pod_is_never_taken_for_dead(engine: Engine, running: PodHandle) -> None:
    for count in range(MOST):
        try:
            with few_descriptors(count):
                running.wait(timeout_s=0)
        except CarobError:
            continue
        pytest.fail(f"with {count} descriptors a running pod was over")


def test_starting_says_so_and_leaves_what_gc_takes(engine: Engine) -> None:
    for count in range(6):
        try:
            with few_descriptors(count):
                engine.run(App("busybox", ["true"])).remove(force=True)
        except (OutOfResources, Unavailable, CorruptData) as error:
            if error.uuid:
                engine.handle(error.uuid).remove(force=True)
    engine.gc(grace_s=0, expire_prepared_s=0)
    assert engine.list() == []


_NO_THREADS = """
import asyncio, os, resource, sys
import carob.aio, carob.aio.engine
from carob.errors import OutOfResources

async def main():
    engine = carob.aio.Engine(sys.argv[1])
    try:
        await engine.list()
    except OutOfResources as error:
        print(error.message)

resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
os.setgroups([])
os.setuid(54321)
asyncio.run(main())
"""


def test_no_thread_left_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _NO_THREADS, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "no thread can be started: can't start new thread\n"


def test_coroutines_say_so_too(engine: Engine, running: PodHandle, ended: PodHandle) -> None:
    async def main() -> None:
        async with carob.aio.Engine(engine.data_dir) as loop_engine:
            up, over = loop_engine.handle(running.uuid), loop_engine.handle(ended.uuid)

            async def followed() -> object:
                return [entry.data async for batch in over.log_batches() for _, entry in batch]

            async def text() -> object:
                return await over.logs().text()

            async def output() -> object:
                return (await up.exec(["echo", "hi"], text=True)).stdout

            calls: list[Callable[[], Awaitable[object]]] = [
                up.status, up.wait_ready, over.wait, followed, text, output, loop_engine.list,
                lambda: loop_engine.get(running.uuid[:20]),
            ]  # fmt: skip
            for call in calls:
                expected = repr(await call())
                seen = set()
                for count in range(MOST):
                    try:
                        with few_descriptors(count):
                            seen.add(repr(await call()))
                    except (OutOfResources, Unavailable):
                        seen.add("told")
                assert seen == {expected, "told"}

    asyncio.run(main())
