"""ListenEvents: what happens to pods and images, from the directories' truth.

The first response, perhaps without events, comes when all is watched: who lists after it misses nothing.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, aclosing

from carob.aio import events as looks
from carob.errors import InvalidInput
from carob.service.v1alpha import api_pb2 as api
from carob.service.v1alpha.filters import event_satisfies
from carob.service.v1alpha.messages import image_event_message, pod_event_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Any

    from carob.aio.steps import Steps

    Look = tuple[int, list[api.Event] | Exception]

_IMAGE_TYPES = frozenset((api.EVENT_TYPE_IMAGE_IMPORTED, api.EVENT_TYPE_IMAGE_REMOVED))
_S = 1_000_000_000
_LAST_S = (1 << 63) // _S - 1
_FEW = 4
"""Looks that may wait for a slow reader; what happens meanwhile is found by the next."""


async def listen(
    data_dir: str, steps: Steps, request: api.ListenEventsRequest
) -> AsyncGenerator[api.ListenEventsResponse, None]:
    """Responses until the filter's ``until_time``, or without end."""
    wanted = request.filter
    if not (0 <= wanted.since_time <= _LAST_S and 0 <= wanted.until_time <= _LAST_S):
        raise InvalidInput("the filter's times are seconds since 1970, and these are none")
    since_ns = wanted.since_time * _S if wanted.since_time else None
    found: asyncio.Queue[Look] = asyncio.Queue(_FEW)
    async with AsyncExitStack() as stack:
        sources = _sources(data_dir, steps, wanted, since_ns)
        for number, (source, message) in enumerate(sources):
            task = asyncio.create_task(_pump(number, source, message, found))
            stack.push_async_callback(_end, task)
        first: list[api.Event] = []
        waiting = set(range(len(sources)))
        while waiting:
            number, events = await _next(found)
            waiting.discard(number)
            first += [event for event in events if _is_wanted(event, wanted)]
        yield api.ListenEventsResponse(events=sorted(first, key=lambda event: event.time))
        deadline = None
        if wanted.until_time:
            deadline = asyncio.get_running_loop().time() + wanted.until_time - time.time()
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    _, events = await _next(found)
                if chosen := [event for event in events if _is_wanted(event, wanted)]:
                    yield api.ListenEventsResponse(events=chosen)
        except TimeoutError:
            return


def _sources(
    data_dir: str, steps: Steps, wanted: api.EventFilter, since_ns: int | None
) -> list[tuple[AsyncGenerator[list[Any], None], Callable[[Any], api.Event]]]:
    """Those that the filter lets through at all."""
    types = set(wanted.types)
    found: list[tuple[AsyncGenerator[list[Any], None], Callable[[Any], api.Event]]] = []
    if not types or types - _IMAGE_TYPES:
        found.append((looks.of_pods(data_dir, steps, since_ns=since_ns), pod_event_message))
    if not types or types & _IMAGE_TYPES:
        found.append((looks.of_images(data_dir, steps, since_ns=since_ns), image_event_message))
    return found


async def _pump(
    number: int,
    source: AsyncGenerator[list[Any], None],
    message: Callable[[Any], api.Event],
    found: asyncio.Queue[Look],
) -> None:
    try:
        async with aclosing(source) as lists:
            async for events in lists:
                await found.put((number, [message(event) for event in events]))
    except Exception as error:  # noqa: BLE001 - it belongs to who waits for the queue
        await found.put((number, error))


async def _next(found: asyncio.Queue[Look]) -> tuple[int, list[api.Event]]:
    number, events = await found.get()
    if isinstance(events, Exception):
        raise events
    return number, events


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _is_wanted(event: api.Event, wanted: api.EventFilter) -> bool:
    return (
        event.type != api.EVENT_TYPE_UNDEFINED  # what rkt has no word for
        and event.time >= wanted.since_time
        and (not wanted.until_time or event.time < wanted.until_time)
        and event_satisfies(event, wanted)
    )
