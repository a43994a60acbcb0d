"""A client's connection after its handshake: what it sends goes to a session, what that has to say to it."""

from __future__ import annotations

import asyncio

from carob.service.streaming.events import Left
from carob.service.streaming.hangup import Hangup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any, TypeVar

    from carob.service.streaming.channel_command import ChannelCommand
    from carob.service.streaming.channel_forward import ChannelForward
    from carob.service.streaming.spdy_command import SpdyCommand
    from carob.service.streaming.spdy_forward import SpdyForward

    Session = SpdyCommand | ChannelCommand | SpdyForward | ChannelForward
    T = TypeVar("T")

_PIECE_BYTES = 65536
_GOODBYE_S = 5.0


class Gone(Exception):
    """The client has left, or its connection broke."""


class Link:
    """Use it in an ``async with`` block, at whose end the connection is closed.

    ``take_in`` gets each event of the session, ``room`` waits until more can be taken in.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        session: Session,
        *,
        take_in: Callable[[Any], None],
        room: Callable[[], Awaitable[None]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._session = session
        self._take_in = take_in
        self._room = room
        self._heard = asyncio.Event()
        self._gone = asyncio.Event()
        self._hangup = Hangup(writer.get_extra_info("socket").fileno(), self._gone.set)
        self._pump: asyncio.Task[None] | None = None

    async def begin(self, early: bytes) -> None:
        """Begins, with what the client has sent already."""
        for event in self._session.begin():
            self._take_in(event)
        self._hear(early)
        self._pump = asyncio.create_task(self._run_pump())

    async def __aenter__(self) -> Link:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._hangup.close()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump})
        if self._gone.is_set():
            self._writer.transport.abort()
        else:
            self._writer.close()

    async def _run_pump(self) -> None:
        try:
            while not self._gone.is_set():
                await self._room()
                data = await self._reader.read(_PIECE_BYTES)
                if not data:
                    return
                self._hear(data)
                await self._writer.drain()
        except OSError:
            pass
        finally:
            self._gone.set()

    def _hear(self, data: bytes) -> None:
        for event in self._session.receive(data):
            if isinstance(event, Left):
                self._gone.set()
            else:
                self._take_in(event)
        self._heard.set()
        self._write()

    def _write(self) -> None:
        if data := self._session.take():
            self._writer.write(data)

    async def flush(self) -> None:
        """Sends what the session has to say, at the client's pace. Raises ``Gone``."""
        self._write()
        try:
            await self._writer.drain()
        except OSError as error:
            raise Gone from error
        while self._session.is_blocked():
            self._heard.clear()
            await self._heard.wait()

    async def unless_gone(self, step: Coroutine[Any, Any, T]) -> T:
        """What the step returns. Where the client leaves before that, it is cancelled: raises ``Gone``."""
        task = asyncio.create_task(step)
        gone = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Gone
        finally:
            for one in (task, gone):
                one.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)

    async def goodbye(self) -> None:
        """Waits until the client has gone, for a while: it closes once it has read all."""
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._gone.wait()
        except TimeoutError:
            pass
