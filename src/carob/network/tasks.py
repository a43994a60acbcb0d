"""Several conversations with programs side by side, each written as if it were alone.

A task's steps are a generator. It yields a ``Command`` and gets a ``Finished``; it yields another ``Task``
and goes on when that is over. One thread, one poll; nobody waits for the program of another without saying
so.
"""

from __future__ import annotations

import select
from time import monotonic

from carob.network.process import Finished, Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, TypeAlias

    from carob.network.process import Command

    Steps: TypeAlias = Generator["Command | Task", Any, Any]

_LONGEST_POLL_S = 3600.0


class Task:
    """Steps on their way: ``over`` when they are done, with a ``result`` or an ``error``."""

    __slots__ = ("_steps", "_waiting", "error", "over", "result")

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._waiting: list[Task] = []
        self.over = False
        self.result: Any = None
        self.error: Exception | None = None

    def outcome(self) -> Any:
        """The result; raises the error instead where there is one."""
        if self.error is not None:
            raise self.error
        return self.result


class Runner:
    """Runs tasks, and the programs that they ask for."""

    __slots__ = ("_programs",)

    def __init__(self) -> None:
        self._programs: dict[Process, Task] = {}

    def start(self, steps: Steps) -> Task:
        """Begins with the steps at once, up to the first program or task that they wait for."""
        task = Task(steps)
        self._advance(task, None, None)
        return task

    def run(self, *tasks: Task, after_failure_s: float | None = None) -> None:
        """Returns when all of these are over. Interrupted, it kills every program that still runs.

        Once one of them has failed, the programs of the others get ``after_failure_s`` seconds more.
        """
        hurried = after_failure_s is None
        try:
            while not all(task.over for task in tasks):
                if not hurried and any(task.error for task in tasks):
                    hurried = True
                    self._hurry(after_failure_s or 0.0)
                self._turn()
        except BaseException:
            self._abandon()
            raise

    def _hurry(self, left_s: float) -> None:
        latest = monotonic() + left_s
        for process in self._programs:
            process.deadline = min(process.deadline, latest)

    def _turn(self) -> None:
        """Waits for something to happen, and lets those go on whom it concerns."""
        poll = select.poll()
        owners: dict[int, Process] = {}
        for process in self._programs:
            for descriptor, events in process.watched().items():
                poll.register(descriptor, events)
                owners[descriptor] = process
        now = monotonic()
        soonest = min((process.deadline for process in self._programs), default=now + _LONGEST_POLL_S)
        ready = [descriptor for descriptor, _ in poll.poll(max(0.0, soonest - now) * 1000 + 0.5)]
        for descriptor in ready:
            owners[descriptor].hear(descriptor)
        now = monotonic()
        for process in list(self._programs):
            if process.pidfd in ready or (process.deadline <= now and process.expire()):
                task = self._programs.pop(process)
                self._advance(task, process.finish(), None)

    def _advance(self, task: Task, value: Finished | None, trouble: OSError | None) -> None:
        """Lets the steps go on with ``value``, or with ``trouble`` raised where they wait."""
        while True:
            try:
                wanted = task._steps.send(value) if trouble is None else task._steps.throw(trouble)
            except StopIteration as stop:
                self._end(task, stop.value, None)
                return
            except Exception as error:  # noqa: BLE001 - it is the task's, for whoever asks for its outcome
                self._end(task, None, error)
                return
            value, trouble = None, None
            if isinstance(wanted, Task):
                if not wanted.over:
                    wanted._waiting.append(task)
                    return
                continue
            try:
                self._programs[Process(wanted)] = task
            except OSError as error:
                trouble = error
            else:
                return

    def _end(self, task: Task, result: Any, error: Exception | None) -> None:
        task.over, task.result, task.error = True, result, error
        for waiting in task._waiting:
            self._advance(waiting, None, None)

    def _abandon(self) -> None:
        programs, self._programs = self._programs, {}
        for process in programs:
            process.kill("abandoned")
        for process in programs:
            poll = select.poll()
            poll.register(process.pidfd, select.POLLIN)
            poll.poll(1000)
            process.finish()
