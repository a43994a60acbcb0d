from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
import time

import pytest

from carob.aio.steps import Steps
from carob.errors import Conflict

PATIENCE_S = 30


async def begun(event: threading.Event) -> None:
    """Waits without blocking the loop."""
    while not event.is_set():
        await asyncio.sleep(0.001)


class Gate:
    """A step that says when it has begun and ends when it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()
        self.passed = False

    def __call__(self) -> str:
        self.begun.set()
        assert self.open.wait(PATIENCE_S)
        self.passed = True
        return "whole"


def test_step_gives_its_result_its_error_and_has_the_callers_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    def fail() -> None:
        raise Conflict("no")

    async def main() -> None:
        steps = Steps(1)
        variable.set("mine")
        assert await steps.run(divmod, 7, 2) == (3, 1)
        assert await steps.run(variable.get) == "mine"
        assert await steps.run(threading.current_thread) is not threading.current_thread()
        with pytest.raises(Conflict, match="no"):
            await steps.run(fail)
        await steps.close()

    asyncio.run(main())


def test_never_more_threads_than_allowed() -> None:
    lock = threading.Lock()
    now = most = 0

    def step() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1

    async def main() -> None:
        steps = Steps(3)
        await asyncio.gather(*(steps.run(step) for _ in range(50)))
        await steps.close()

    asyncio.run(main())
    assert most == 3


def test_cancelled_step_is_carried_through_before_the_caller_goes_on() -> None:
    async def main() -> None:
        steps, gate = Steps(1), Gate()
        task = asyncio.create_task(steps.run(gate))
        await begun(gate.begun)
        for _ in range(3):  # however often
            task.cancel()
            await asyncio.sleep(0.001)
            assert not task.done()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gate.passed
        await steps.close()

    asyncio.run(main())


def test_cancelled_step_is_undone_with_its_result() -> None:
    undone: list[str] = []

    async def main() -> None:
        steps, gate = Steps(1), Gate()
        task = asyncio.create_task(steps.run_or_undo(gate, undone.append))
        await begun(gate.begun)
        task.cancel()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert undone == ["whole"]
        assert await steps.run_or_undo(lambda: "kept", undone.append) == "kept"
        assert undone == ["whole"]
        await steps.close()

    asyncio.run(main())


def test_cancelled_step_that_fails_has_nothing_to_undo() -> None:
    undone: list[object] = []
    gate = Gate()

    def fail() -> object:
        gate()
        raise Conflict("no")

    async def main() -> None:
        steps = Steps(1)
        task = asyncio.create_task(steps.run_or_undo(fail, undone.append))
        await begun(gate.begun)
        task.cancel()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert undone == []
        await steps.close()

    asyncio.run(main())


def test_undoing_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()

    def fail(_: object) -> None:
        raise Conflict("it is stuck")

    async def main() -> None:
        steps = Steps(1)
        task = asyncio.create_task(steps.run_or_undo(gate, fail))
        await begun(gate.begun)
        task.cancel()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await steps.close()

    with caplog.at_level(logging.WARNING, "carob"):
        asyncio.run(main())
    assert "it is stuck" in caplog.text


def test_step_that_has_not_begun_is_not_taken_once_cancelled() -> None:
    taken: list[int] = []

    async def main() -> None:
        steps, gate = Steps(1), Gate()
        first = asyncio.create_task(steps.run(gate))
        await begun(gate.begun)
        second = asyncio.create_task(steps.run(taken.append, 1))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.open.set()
        assert await first == "whole"
        await steps.close()

    asyncio.run(main())
    assert taken == []


def test_what_has_to_be_done_is_done_even_where_it_had_not_begun(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[int] = []

    def fail() -> None:
        raise Conflict("it is stuck")

    async def main() -> None:
        steps, gate = Steps(1), Gate()
        first = asyncio.create_task(steps.run(gate))
        await begun(gate.begun)
        tasks = [
            asyncio.create_task(steps.carry_out(taken.append, 1)),
            asyncio.create_task(steps.carry_out(fail)),
        ]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel("enough")
        await asyncio.sleep(0.001)
        gate.open.set()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError, match="enough"):
                await task
        assert await first == "whole"
        assert await steps.carry_out(len, "two") == 3
        with pytest.raises(Conflict):
            await steps.carry_out(fail)
        await steps.close()

    with caplog.at_level(logging.WARNING, "carob"):
        asyncio.run(main())
    assert taken == [1]
    assert "it is stuck" in caplog.text


def test_timeout_around_a_step_is_the_callers_and_comes_when_the_step_has_ended() -> None:
    async def main() -> None:
        steps, gate = Steps(1), Gate()
        asyncio.get_running_loop().call_later(0.05, gate.open.set)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await steps.run(gate)
        assert gate.passed
        await steps.close()

    asyncio.run(main())


def test_closed_twice_and_used_again() -> None:
    async def main() -> None:
        steps = Steps(2)
        await steps.close()
        await steps.run(os.getpid)
        await steps.close()
        await steps.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("carob_")]
        assert await steps.run(os.getpid) == os.getpid()
        await steps.close()

    asyncio.run(main())


def test_one_after_the_other_several_loops() -> None:
    steps = Steps(2)
    assert asyncio.run(steps.run(len, "two")) == 3
    assert asyncio.run(steps.run(len, "one")) == 3
    asyncio.run(steps.close())


@pytest.mark.filterwarnings(
    "ignore:.*multi-threaded.*:DeprecationWarning"
)  # a fork with threads is the point
def test_forked_child_makes_threads_of_its_own() -> None:
    steps = Steps(1)
    asyncio.run(steps.run(os.getpid))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if asyncio.run(steps.run(os.getpid)) == os.getpid() else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asyncio.run(steps.close())
