"""The frame around every call: requests read, limits kept, errors told as statuses, all counted and logged.

gRPC is given bytes and gives bytes: so what is no message of the method's type gets the status that it
should, and not that of a failing service.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from time import perf_counter

import grpc
from google.protobuf.message import DecodeError

from carob.errors import Cancelled, CarobError, InvalidInput, OutOfResources, TimedOut, Unavailable
from carob.service.statuses import details_of, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Any, TypeVar

    from google.protobuf.message import Message

    from carob.service.journal import Journal
    from carob.service.metrics import CallMetrics
    from carob.service.settings import Limits

    Request = TypeVar("Request", bound=Message)
    Context = grpc.aio.ServicerContext[bytes, bytes]
    Handler = grpc.RpcMethodHandler[bytes, bytes]

_GONE = Cancelled("the caller has gone")
_STOPPING = "the service is being stopped"
_LAST_WORD_S = 1.0
"""For the status of a stream that nobody reads: it waits behind what was sent before."""


class Calls:
    """Makes handlers for gRPC of coroutines that take a request and return a response, or yield several."""

    def __init__(self, limits: Limits, metrics: CallMetrics, journal: Journal) -> None:
        self._limits = limits
        self._metrics = metrics
        self._journal = journal
        self._running: set[asyncio.Task[Any]] = set()
        self._streams: set[asyncio.Task[Any]] = set()
        self._writing: set[asyncio.Task[Any]] = set()
        self._ending = False

    def unary(
        self, method: str, request_type: type[Request], answer: Callable[[Request], Awaitable[Message]]
    ) -> Handler:
        """A method with one response; ``method`` is ``SERVICE/NAME``, as log and metrics call it."""

        async def handle(raw: bytes, context: Context) -> bytes:
            async with _Call(self, method, context):
                self.begun()
                return (await answer(_parsed(request_type, raw))).SerializeToString()

        return grpc.unary_unary_rpc_method_handler(handle)

    def stream(
        self,
        method: str,
        request_type: type[Request],
        answers: Callable[[Request], AsyncGenerator[Message, None]],
    ) -> Handler:
        """A method with a stream of responses, one of a limited number of such."""

        async def handle(raw: bytes, context: Context) -> None:
            async with _Call(self, method, context):
                self.begun()
                task = self._begin_stream()
                try:
                    # First, so that a status can be sent even where not one response gets through.
                    await context.send_initial_metadata(())
                    async with aclosing(answers(_parsed(request_type, raw))) as responses:
                        async for response in responses:
                            await self._write(context, response)
                except asyncio.CancelledError:
                    if self._ending and task.uncancel() == 0:
                        raise Unavailable(_STOPPING) from None
                    raise
                finally:
                    self._streams.discard(task)
                    self._metrics.open_streams -= 1

        return grpc.unary_stream_rpc_method_handler(handle)

    def _begin_stream(self) -> asyncio.Task[Any]:
        if len(self._streams) >= self._limits.streams:
            raise OutOfResources(f"{self._limits.streams} streams are open, and no more are allowed")
        task = _current_task()
        self._streams.add(task)
        self._metrics.open_streams += 1
        return task

    async def _write(self, context: Context, response: Message) -> None:
        """Waits for a reader that is slow, for a while."""
        task = _current_task()
        self._writing.add(task)
        try:
            async with asyncio.timeout(self._limits.stall_s):
                await context.write(response.SerializeToString())
        except TimeoutError:
            raise TimedOut(f"nothing of the stream was read for {self._limits.stall_s:g} s") from None
        finally:
            self._writing.discard(task)
        if self._ending:
            raise Unavailable(_STOPPING)

    def begun(self) -> None:
        """Takes note of the task of a call. Raises ``Unavailable`` where the service is being stopped."""
        task = _current_task()
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if self._ending:
            raise Unavailable(_STOPPING)

    async def end(self) -> None:
        """Takes no more calls, ends all streams, which have no end of their own, and returns when the other
        calls have ended, or the grace is over.
        """
        self._ending = True
        for task in self._streams - self._writing:  # gRPC can send no status into a write that is cut off
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=self._limits.grace_s)

    def finished(
        self, method: str, context: Context, began_s: float, status: str, error: CarobError | None
    ) -> None:
        """Counts and logs a call that has ended."""
        seconds = perf_counter() - began_s
        self._metrics.ended(method, status, seconds)
        self._journal.call(method, status, seconds, context.peer(), error)

    def unexpected(self, method: str, error: Exception) -> None:
        """Logs what no call should end with."""
        from traceback import format_exception

        self._journal.unexpected(method, "".join(format_exception(error)))


class _Call:
    """One call: in an ``async with`` block, an error of carob's ends it with its status."""

    __slots__ = ("_began_s", "_calls", "_context", "_method")

    def __init__(self, calls: Calls, method: str, context: Context) -> None:
        self._calls = calls
        self._context = context
        self._method = method
        self._began_s = perf_counter()

    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case None:
                self._finished("OK", None)
            case CarobError():
                status = status_of(error)
                self._finished(status.name, error)
                await self._abort(status, details_of(error))
            case Exception():
                status = grpc.StatusCode.INTERNAL
                self._calls.unexpected(self._method, error)
                self._finished(status.name, CarobError(f"{type(error).__name__}: {error}"))
                await self._abort(status, "carob failed; the service's log says how")
            case _:
                self._finished(grpc.StatusCode.CANCELLED.name, _GONE)  # nobody waits for it

    def _finished(self, status: str, error: CarobError | None) -> None:
        self._calls.finished(self._method, self._context, self._began_s, status, error)

    async def _abort(self, status: grpc.StatusCode, details: str) -> None:
        try:
            async with asyncio.timeout(_LAST_WORD_S):
                await self._context.abort(status, details)
        except TimeoutError:
            raise asyncio.CancelledError from None


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _parsed(request_type: type[Request], raw: bytes) -> Request:
    try:
        return request_type.FromString(raw)
    except DecodeError as error:
        raise InvalidInput(f"the request is no {request_type.DESCRIPTOR.full_name}: {error}") from None
