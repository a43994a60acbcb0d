"""Blocking steps in a bounded number of threads, each of which ends whole even where its caller is
cancelled.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from carob.errors import OutOfResources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ParamSpec, TypeVar

    T = TypeVar("T")
    P = ParamSpec("P")


_MORE_THREADS = "this user, or the group of the process, may have no more: ulimit -u, pids.max"


class Steps:
    """The threads of one engine: at most ``max_threads``, made when needed, shared by all its handles.

    They belong to no event loop: several may use them, one after the other or at the same time.
    """

    def __init__(self, max_threads: int) -> None:
        self.max_threads = max_threads
        self._executor: ThreadPoolExecutor | None = None
        self._owner_pid = 0
        self._lock = threading.Lock()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls ``function`` in a thread. Cancelled, it ends when that has: the step is carried through."""
        return await self.run_or_undo(functools.partial(function, *args, **kwargs), None)

    async def run_or_undo(self, step: Callable[[], T], undo: Callable[[T], object] | None) -> T:
        """``run`` for a step whose result the caller must get or must not be there.

        Cancelled after the step has begun, it lets it end, calls ``undo`` with the result in a thread, and
        ends then. A step that has not begun is not taken.
        """
        future = self._submit(step)
        ended = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            if not future.cancel():
                await _settle(ended)
                if undo is not None and ended.exception() is None:
                    await self._undo(functools.partial(undo, ended.result()))
            raise

    async def run_stoppable(self, step: Callable[[], T], stop: Callable[[], object]) -> T:
        """``run`` for a step that ``stop``, called from here, makes end soon: cancelled, it is stopped."""
        future = self._submit(step)
        ended = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            if not future.cancel():
                stop()
                await _settle(ended)
                ended.exception()  # nobody is there to be told of it
            raise

    async def carry_out(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``run`` for what has to be done: cancelled, the step is taken all the same, begun or not."""
        ended = asyncio.wrap_future(self._submit(functools.partial(function, *args, **kwargs)))
        cancelled = await _settle(ended)
        if cancelled is not None:
            _log_error("carried out after it was cancelled", ended)
            raise cancelled
        return ended.result()

    async def _undo(self, undo: Callable[[], object]) -> None:
        ended = asyncio.wrap_future(self._submit(undo))
        await _settle(ended)
        _log_error("undone after it was cancelled", ended)

    def _submit(self, step: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._executor is None or self._owner_pid != os.getpid():  # a forked child has no threads
                self._executor = ThreadPoolExecutor(self.max_threads, "carob")
                self._owner_pid = os.getpid()
            try:
                return self._executor.submit(contextvars.copy_context().run, step)
            except RuntimeError as error:  # the one way of threading to say so
                raise OutOfResources(f"no thread can be started: {error}", hint=_MORE_THREADS) from error

    async def close(self) -> None:
        """Ends the threads once their steps have ended. A later step makes new ones."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is None or self._owner_pid != os.getpid():
            return
        # To join threads blocks, so one more thread does that.
        loop = asyncio.get_running_loop()
        idle: asyncio.Future[None] = loop.create_future()
        threading.Thread(target=_shut_down, args=(executor, loop, idle), name="carob-close").start()
        cancelled = await _settle(idle)
        if cancelled is not None:
            raise cancelled


def _shut_down(executor: ThreadPoolExecutor, loop: asyncio.AbstractEventLoop, idle: Any) -> None:
    executor.shutdown(wait=True)
    loop.call_soon_threadsafe(idle.set_result, None)


async def _settle(future: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Waits until the future is done, cancelled or not; returns the last cancellation, for the caller."""
    cancelled = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


def _log_error(what: str, ended: asyncio.Future[Any]) -> None:
    """Tells of an error that no caller is there to be told of."""
    error = ended.exception()
    if error is not None:
        import logging

        logging.getLogger("carob.aio").warning("could not be %s: %s", what, error)
