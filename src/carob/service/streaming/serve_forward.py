"""A port-forward from its handshake to its end: any number of connections into one pod."""

from __future__ import annotations

import asyncio
import socket

from carob.errors import CarobError
from carob.service.streaming.events import ForwardBegan, ForwardDropped, ForwardInput, ForwardInputEnded
from carob.service.streaming.inlet import Inlet
from carob.service.streaming.link import Gone, Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine

    from carob.service.streaming.channel_forward import ChannelForward
    from carob.service.streaming.events import ForwardEvent
    from carob.service.streaming.pods import Pods
    from carob.service.streaming.spdy_forward import SpdyForward

_MOST = 256  # also of those that the client gave up, and that are not undone yet
_PIECE_BYTES = 65536


class ServedForward:
    """One session. A connection that is slow to take its bytes holds the others up once it has enough of
    them: clients of Kubernetes know no windows, so all that can be done is not to read.
    """

    def __init__(self, session: SpdyForward | ChannelForward, uuid: str, pods: Pods) -> None:
        self._session = session
        self._uuid = uuid
        self._pods = pods
        self._link: Link | None = None
        self._inlets: dict[int, Inlet] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, early: bytes) -> None:
        """Returns when the client has gone."""
        self._link = link = Link(reader, writer, self._session, take_in=self._take_in, room=self._room)
        async with link:
            try:
                await link.begin(early)
                await link.unless_gone(_for_ever())
            except Gone:
                pass
            finally:
                tasks = set(self._tasks.values())
                for task in tasks:
                    task.cancel()
                if tasks:
                    await asyncio.wait(tasks)

    async def _room(self) -> None:
        for inlet in list(self._inlets.values()):
            await inlet.room()

    def _take_in(self, event: ForwardEvent) -> None:
        if isinstance(event, ForwardBegan):
            if len(self._tasks) >= _MOST:
                self._session.end(event.key, f"there are {_MOST} connections already")
                return
            inlet = self._inlets[event.key] = Inlet()
            task = asyncio.create_task(self._serve(event.key, event.port, inlet))
            self._tasks[event.key] = task
            task.add_done_callback(lambda _: self._tasks.pop(event.key, None))
        elif isinstance(event, ForwardInput):
            if (inlet_of := self._inlets.get(event.key)) is not None:
                inlet_of.put(event.data)
        elif isinstance(event, ForwardInputEnded):
            if (inlet_of := self._inlets.get(event.key)) is not None:
                inlet_of.end()
        elif isinstance(event, ForwardDropped) and event.key in self._tasks:
            self._tasks[event.key].cancel()

    async def _serve(self, key: int, port: int, inlet: Inlet) -> None:
        assert self._link is not None
        failure = ""
        try:
            opened = await self._pods.connect(self._uuid, port)
            try:
                await _both(self._inward(key, inlet, opened), self._outward(key, opened))
            finally:
                opened.close()
        except (CarobError, OSError) as error:
            failure = f"port {port} cannot be forwarded: {error}"
        finally:
            self._inlets.pop(key, None)
            inlet.drop()
            self._session.end(key, failure)
        try:
            await self._link.flush()
        except Gone:
            pass

    async def _inward(self, key: int, inlet: Inlet, opened: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await inlet.get():
            await loop.sock_sendall(opened, data)
            self._session.used(key, len(data))
        opened.shutdown(socket.SHUT_WR)

    async def _outward(self, key: int, opened: socket.socket) -> None:
        assert self._link is not None
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(opened, _PIECE_BYTES):
                self._session.output(key, data)
                await self._link.flush()
            self._session.output_ended(key)
            await self._link.flush()
        except Gone:
            pass


async def _both(first: Coroutine[None, None, None], second: Coroutine[None, None, None]) -> None:
    """Runs both to their ends; where one fails, the other is cancelled."""
    tasks = {asyncio.ensure_future(first), asyncio.ensure_future(second)}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()
