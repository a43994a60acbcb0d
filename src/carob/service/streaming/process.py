"""What a session's streams lead to: one more process in an app, or the app itself."""

from __future__ import annotations

import asyncio
import os

from carob.aio.execution import Execution
from carob.engine.observe.ends import shell_code
from carob.errors import CarobError
from carob.linux import terminal
from carob.service.streaming.status import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import TypeAlias

    from carob.aio.attachment import Attachment
    from carob.aio.handle import PodHandle
    from carob.engine.observe.ends import AppEnd
    from carob.engine.observe.output import LogEntry
    from carob.engine.steer.execution import Execution as Started

    Sink: TypeAlias = Callable[[bytes], Awaitable[None]]

_PIECE_BYTES = 65536
_LAST_WORDS_S = 0.25


class ExecProcess:
    """A process that was started for the session, and ends with it."""

    def __init__(self, started: Started) -> None:
        self._execution = Execution(started)
        self._master = os.dup(started.stdin) if started.stdin == started.stdout else -1

    async def write(self, data: bytes) -> None:
        """Feeds it, at its pace. Raises ``OSError`` where it reads no more."""
        await self._execution.write(data)

    def end_input(self) -> None:
        """Nothing more will come. What reads a terminal is told by its end-of-file character."""
        self._execution.close_stdin()

    def resize(self, rows: int, columns: int) -> None:
        """Its terminal, if it has one, has this size now."""
        if self._master >= 0:
            terminal.set_size(self._master, rows, columns)

    async def relay(self, stdout: Sink, stderr: Sink) -> Outcome:
        """Passes its output on until it has ended; returns how.

        What processes that it left behind write later is not waited for.
        """
        end = asyncio.ensure_future(self._execution.wait())
        outputs = [asyncio.ensure_future(_pass_on(self._execution.stdout, stdout, end))]
        if self._execution.stderr is not None:
            outputs.append(asyncio.ensure_future(_pass_on(self._execution.stderr, stderr, end)))
        try:
            await asyncio.gather(*outputs)
            return Outcome(shell_code(await end))
        finally:
            for task in (end, *outputs):
                task.cancel()
            await asyncio.wait({end, *outputs})

    def drop(self) -> None:
        """Nobody is there for it any more: it is killed."""
        try:
            self._execution.kill()
        except CarobError:
            pass  # the pod is over, and so is the process

    def close(self) -> None:
        """Lets go of its streams."""
        self._execution.close()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1


async def _pass_on(reader: asyncio.StreamReader, sink: Sink, end: asyncio.Future[AppEnd]) -> None:
    """Until the stream's end; or once the process has ended, until nothing more comes for a moment."""
    reading: asyncio.Future[bytes] | None = None
    try:
        while True:
            reading = reading or asyncio.ensure_future(reader.read(_PIECE_BYTES))
            if not end.done():
                await asyncio.wait((reading, end), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() and end.done():
                await asyncio.wait({reading}, timeout=_LAST_WORDS_S)
                if not reading.done():
                    return
            if reading.done():
                data, reading = reading.result(), None
                if not data:
                    return
                await sink(data)
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})


class AttachedApp:
    """An app that runs by itself: the session sees what it writes from now on, and may feed it."""

    def __init__(
        self, handle: PodHandle, app: str, attachment: Attachment | None, since_ns: int, *, once: bool
    ) -> None:
        """``once``: the app's input ends with this session's."""
        self._once = once
        self._handle = handle
        self._app = app
        self._attachment = attachment
        self._since_ns = since_ns

    async def write(self, data: bytes) -> None:
        """Feeds it, at its pace. Raises ``CarobError`` where it does not run any more."""
        if self._attachment is not None:
            await self._attachment.write(data)

    def end_input(self) -> None:
        """The end of this session's input is that of the app's only where it is so made."""
        if self._once and self._attachment is not None:
            self._attachment.close()
            self._attachment = None

    def resize(self, rows: int, columns: int) -> None:
        """Its terminal, if it has one, has this size now."""
        if self._attachment is not None and self._attachment.tty:
            self._attachment.resize((rows, columns))

    async def relay(self, stdout: Sink, stderr: Sink) -> Outcome:
        """Passes what it writes on, until it has ended."""
        batches: AsyncGenerator[list[tuple[str, LogEntry]], None]
        batches = self._handle.log_batches(self._app, since_ns=self._since_ns, until_ended=True)
        try:
            async for batch in batches:
                for _, entry in batch:
                    if entry.output:
                        await (stderr if entry.stream == "stderr" else stdout)(entry.output)
        finally:
            await batches.aclose()
        return Outcome(0)

    def drop(self) -> None:
        """The app runs on."""

    def close(self) -> None:
        """Lets go of it."""
        if self._attachment is not None:
            self._attachment.close()
