"""Waiting on the loop: for descriptors, and for pods, one watch for all who wait for the same."""

from __future__ import annotations

import asyncio
import os
from weakref import WeakKeyDictionary

from carob.engine.failures import Attempt
from carob.engine.observe import remains
from carob.engine.observe.keeper import keepers, thaw
from carob.engine.request.inputs import timeout
from carob.errors import NotFound, TimedOut
from carob.pod import State, open_pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from carob.pod import Pod


_SOON_S = 0.02


async def readable(descriptors: Sequence[int], *, timeout_s: float | None = None) -> bool:
    """Waits until one of the descriptors is readable; False after the time. No others may watch them."""
    loop = asyncio.get_running_loop()
    woken: Future[bool] = loop.create_future()
    for descriptor in descriptors:
        loop.add_reader(descriptor, _wake, woken, True)
    timer = None if timeout_s is None else loop.call_later(timeout_s, _wake, woken, False)
    try:
        return await woken
    finally:
        if timer is not None:
            timer.cancel()
        for descriptor in descriptors:
            loop.remove_reader(descriptor)


async def writable(descriptor: int) -> None:
    """Waits until the descriptor takes bytes, or nobody reads them any more. No others may watch it."""
    loop = asyncio.get_running_loop()
    woken: Future[bool] = loop.create_future()
    loop.add_writer(descriptor, _wake, woken, True)
    try:
        await woken
    finally:
        loop.remove_writer(descriptor)


def _wake(woken: Future[bool], result: bool) -> None:
    if not woken.done():
        woken.set_result(result)


async def over(data_dir: str, uuid: str, *, timeout_s: float | None) -> None:
    """Returns when the pod has ended and nothing of it runs, or it is gone. Raises ``TimedOut``."""
    timeout_s = timeout(timeout_s)
    with Attempt(f"pod {uuid} cannot be waited for", uuid):
        if not await _shared(_over, data_dir, uuid, timeout_s):
            raise TimedOut(
                f"pod {uuid} or processes of it are still there after {timeout_s} s", hint="give it more time"
            )


async def ready(data_dir: str, uuid: str, *, timeout_s: float | None) -> None:
    """Returns when all apps have been started, and those with probes are ready.

    Raises ``TimedOut``, ``Conflict`` where that cannot be any more, ``NotFound``.
    """
    timeout_s = timeout(timeout_s)
    with Attempt(f"pod {uuid} cannot be waited for", uuid):
        if not await _shared(_ready, data_dir, uuid, timeout_s):
            raise TimedOut(f"pod {uuid} was not ready after {timeout_s} s", hint="give it more time")


async def _over(data_dir: str, uuid: str) -> None:
    try:
        pod = open_pod(data_dir, uuid)
    except NotFound:
        return
    with pod:
        if await pod.wait_finished_async() is not State.GONE:
            await _init_gone(pod)
            for pause_s in remains.pauses_until_none(pod):
                await asyncio.sleep(pause_s)


async def _ready(data_dir: str, uuid: str) -> None:
    from carob.engine.observe import readiness

    with open_pod(data_dir, uuid) as pod:
        await readiness.wait_ready_async(pod)


async def _init_gone(pod: Pod) -> None:
    init, _ = keepers(pod)
    pidfd = init.open() if init is not None else None
    if pidfd is None:
        return
    try:
        if not await readable([pidfd], timeout_s=_SOON_S):
            thaw(pod)
            await readable([pidfd])
    finally:
        os.close(pidfd)


class _Watch:
    """A task that waits for one thing of one pod, and how many wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: Task[None]) -> None:
        self.task = task
        self.waiting = 0


_watches: WeakKeyDictionary[AbstractEventLoop, dict[tuple[Any, str, str], _Watch]] = WeakKeyDictionary()


async def _shared(
    wait: Callable[[str, str], Coroutine[Any, Any, None]], data_dir: str, uuid: str, timeout_s: float | None
) -> bool:
    """Whether what ``wait`` waits for came within the time. Raises what it raises.

    However many wait for the same in a loop, it has one set of descriptors; the last one to leave, at the
    end of its time or cancelled, takes it away.
    """
    loop = asyncio.get_running_loop()
    watches = _watches.setdefault(loop, {})
    key = (wait, data_dir, uuid)
    watch = watches.get(key)
    if watch is None or watch.task.done():
        watch = watches[key] = _Watch(loop.create_task(wait(data_dir, uuid)))
    watch.waiting += 1
    try:
        await asyncio.wait({watch.task}, timeout=timeout_s)
        if watch.task.done():
            watch.task.result()
            return True
        return False
    finally:
        watch.waiting -= 1
        # Nobody joins a watch that is over or about to be: whoever comes now looks anew.
        if watches.get(key) is watch and (watch.task.done() or not watch.waiting):
            del watches[key]
        if not watch.waiting and not watch.task.done():
            watch.task.cancel()
            await asyncio.wait({watch.task})
