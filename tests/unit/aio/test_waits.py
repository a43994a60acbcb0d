from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from carob.aio import waits
from carob.errors import Conflict, NotFound, TimedOut
from carob.pod.state import Directory
from tests.architecture.sources import ROOT, SRC
from tests.leaks import descriptors
from tests.unit.pod.made import UUID, locked, make, uuid_of

PATIENCE_S = 30


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    return str(tmp_path / "data")


async def spin(times: int = 20) -> None:
    for _ in range(times):
        await asyncio.sleep(0.001)


def test_readable_says_whether_it_came_in_time_and_leaves_no_reader() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        try:
            assert await waits.readable([read], timeout_s=0.001) is False
            os.write(write, b"x")
            assert await waits.readable([read], timeout_s=PATIENCE_S) is True
            assert not loop.remove_reader(read)
        finally:
            os.close(read)
            os.close(write)

    asyncio.run(main())


def test_over_returns_for_a_pod_that_ended_or_is_not_there(data_dir: str) -> None:
    async def main() -> None:
        await waits.over(data_dir, UUID, timeout_s=0)
        make(data_dir, Directory.RUN)
        await waits.over(data_dir, UUID, timeout_s=0)

    asyncio.run(main())


def test_over_times_out_on_a_running_pod_and_is_woken_by_its_end(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)

    async def main() -> None:
        lock = os.open(path, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TimedOut):
            await waits.over(data_dir, UUID, timeout_s=0.01)
        waiting = asyncio.create_task(waits.over(data_dir, UUID, timeout_s=None))
        await spin()
        assert not waiting.done()
        os.close(lock)
        await asyncio.wait_for(waiting, PATIENCE_S)

    asyncio.run(main())


def test_ready_tells_of_pods_that_are_not_and_will_not_be(data_dir: str) -> None:
    async def main() -> None:
        with pytest.raises(NotFound):
            await waits.ready(data_dir, UUID, timeout_s=None)
        make(data_dir, Directory.RUN)
        with pytest.raises(Conflict):
            await waits.ready(data_dir, UUID, timeout_s=None)
        make(data_dir, Directory.PREPARED, uuid_of(1))
        with pytest.raises(TimedOut):
            await waits.ready(data_dir, uuid_of(1), timeout_s=0.01)

    asyncio.run(main())


def test_cancelled_wait_leaves_no_descriptor_when_it_is_over(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)

    async def main() -> None:
        before = descriptors()
        task = asyncio.create_task(waits.over(data_dir, UUID, timeout_s=None))
        await spin()
        assert descriptors() != before  # so there is something to leave
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert descriptors() == before

    with locked(path):
        asyncio.run(main())


def test_those_who_wait_for_the_same_share_descriptors_until_the_last_has_left(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)

    async def main() -> None:
        before = descriptors()
        one = asyncio.create_task(waits.over(data_dir, UUID, timeout_s=None))
        await spin()
        alone = len(descriptors())
        others = [asyncio.create_task(waits.over(data_dir, UUID, timeout_s=None)) for _ in range(50)]
        await spin()
        assert len(descriptors()) == alone
        one.cancel()
        await asyncio.wait({one})
        assert one.cancelled()
        await spin()
        assert not any(task.done() for task in others)
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        assert descriptors() == before

    with locked(path):
        asyncio.run(main())


def test_who_comes_while_the_last_one_leaves_waits_on(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)

    async def main() -> None:
        lock = os.open(path, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = descriptors()
        first = asyncio.create_task(waits.over(data_dir, UUID, timeout_s=None))
        await spin()
        first.cancel()
        await asyncio.sleep(0)
        others = [asyncio.create_task(waits.over(data_dir, UUID, timeout_s=PATIENCE_S)) for _ in range(3)]
        await spin()
        assert first.cancelled()
        alone = len(descriptors())
        one_more = asyncio.create_task(waits.over(data_dir, UUID, timeout_s=PATIENCE_S))
        await spin()
        assert len(descriptors()) == alone
        os.close(lock)
        await asyncio.gather(*others, one_more)
        del before[lock]
        assert descriptors() == before

    asyncio.run(main())


def test_failure_of_a_shared_wait_is_everybodys_and_no_later_ones(data_dir: str) -> None:
    async def main() -> None:
        ready = [waits.ready(data_dir, UUID, timeout_s=None) for _ in range(5)]
        assert [type(end) for end in await asyncio.gather(*ready, return_exceptions=True)] == [NotFound] * 5
        make(data_dir, Directory.RUN)
        with pytest.raises(Conflict):
            await waits.ready(data_dir, UUID, timeout_s=None)

    asyncio.run(main())


_MANY = """
import asyncio, os, resource, sys
from carob.aio import Engine
from carob.errors import TimedOut

limit, data_dir, *uuids = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))


async def main():
    async with Engine(data_dir) as engine:
        before = sorted(os.listdir("/proc/self/fd"))
        handles = [engine.handle(uuid) for uuid in uuids] * (1000 // len(uuids))
        waits = [asyncio.create_task(pod.wait(timeout_s=0.2)) for pod in handles[::2]]
        waits += [asyncio.create_task(pod.wait()) for pod in handles[1::2]]
        await asyncio.sleep(0.1)
        for wait in waits[500:]:
            wait.cancel()
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert len(ends) == 1000
        assert {type(end) for end in ends[:500]} == {TimedOut}
        assert {type(end) for end in ends[500:]} == {asyncio.CancelledError}
        assert sorted(os.listdir("/proc/self/fd")) == before, os.listdir("/proc/self/fd")
        assert len(asyncio.all_tasks()) == 1


asyncio.run(main(), debug=False)
"""


@pytest.mark.parametrize(
    ("directory", "count", "limit"),
    [(Directory.PREPARED, 1000, 1024), (Directory.RUN, 1, 64)],
    ids=["prepared pods", "one running pod"],
)
def test_thousand_waits_with_few_descriptors(
    data_dir: str, directory: Directory, count: int, limit: int
) -> None:
    uuids = [uuid_of(number) for number in range(count)]
    paths = [make(data_dir, directory, uuid) for uuid in uuids]
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    command = [sys.executable, "-W", "error", "-c", _MANY, str(limit), data_dir, *uuids]
    with locked(paths[0]):
        result = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert (result.returncode, result.stderr) == (0, "")
