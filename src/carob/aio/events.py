"""What happens to pods and images, on the loop."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from carob.engine.failures import Attempt
from carob.engine.observe import watching
from carob.pod.alarm import LoopSleeper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import Protocol, TypeVar

    from carob.aio.steps import Steps
    from carob.engine.observe.events import Event
    from carob.engine.rkt.watching import ImageEvent

    T = TypeVar("T")

    class Watches(Protocol[T]):
        """``watching.Watcher``, and its like."""

        def take(self) -> list[T]: ...
        def arm(self) -> bool: ...
        @property
        def pause_s(self) -> float: ...
        def close(self) -> None: ...


async def follow(
    data_dir: str, steps: Steps, *, since_ns: int | None, until_now: bool
) -> AsyncGenerator[Event, None]:
    """Event after event; files are read in a thread."""
    async with aclosing(of_pods(data_dir, steps, since_ns=since_ns)) as looks:
        async for found in looks:
            for event in found:
                yield event
            if until_now:
                return


async def of_pods(data_dir: str, steps: Steps, *, since_ns: int | None) -> AsyncGenerator[list[Event], None]:
    """``follow`` by what one look finds. The first list, perhaps empty, comes when all is watched."""
    since_ns = watching.checked_since_ns(since_ns)
    with Attempt("the pods cannot be watched"):
        sleeper = LoopSleeper(asyncio.get_running_loop())
        watcher = await steps.run(watching.begin, data_dir, sleeper, since_ns)
        async with aclosing(_looks(watcher, sleeper, steps)) as looks:
            async for found in looks:
                yield found


async def of_images(
    data_dir: str, steps: Steps, *, since_ns: int | None
) -> AsyncGenerator[list[ImageEvent], None]:
    """The same of images."""
    from carob.engine.rkt.watching import ImageWatcher

    since_ns = watching.checked_since_ns(since_ns)
    with Attempt("the images cannot be watched"):
        sleeper = LoopSleeper(asyncio.get_running_loop())
        watcher = ImageWatcher(data_dir, sleeper, since_ns=since_ns)
        async with aclosing(_looks(watcher, sleeper, steps)) as looks:
            async for found in looks:
                yield found


async def _looks(watcher: Watches[T], sleeper: LoopSleeper, steps: Steps) -> AsyncGenerator[list[T], None]:
    """Lists that are not empty, but for the first."""
    first = True
    try:
        while True:
            found = await steps.run(watcher.take)
            more = watcher.arm()
            if found or first:
                yield found
                first = False
            if not more and not found:
                await sleeper.sleep(watcher.pause_s)
    finally:
        watcher.close()
