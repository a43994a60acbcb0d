"""An exec or attach from its handshake to its end."""

from __future__ import annotations

import asyncio

from carob.errors import CarobError
from carob.service.streaming.events import Began, Input, InputEnded, Resized
from carob.service.streaming.inlet import Inlet
from carob.service.streaming.link import Gone, Link
from carob.service.streaming.status import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.service.streaming.channel_command import ChannelCommand
    from carob.service.streaming.events import CommandEvent
    from carob.service.streaming.pods import Pods
    from carob.service.streaming.process import AttachedApp, ExecProcess
    from carob.service.streaming.requests import AttachRequest, ExecRequest
    from carob.service.streaming.spdy_command import SpdyCommand

_STREAMS_S = 30.0


class ServedCommand:
    """One session and what it leads to."""

    def __init__(
        self, session: SpdyCommand | ChannelCommand, request: ExecRequest | AttachRequest, pods: Pods
    ) -> None:
        self._session = session
        self._request = request
        self._pods = pods
        self._began = asyncio.Event()
        self._inlet = Inlet()
        self._size: tuple[int, int] | None = None
        self._process: ExecProcess | AttachedApp | None = None

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, early: bytes) -> None:
        """Returns when it is over. A client that leaves before ends what was started for it."""
        link = Link(reader, writer, self._session, take_in=self._take_in, room=self._inlet.room)
        async with link:
            await link.begin(early)
            try:
                async with asyncio.timeout(_STREAMS_S):
                    await link.unless_gone(self._began.wait())
                outcome = await self._outcome(link)
                self._session.end(outcome)
                await link.unless_gone(link.flush())
                self._inlet.drop()
                await link.goodbye()
            except (Gone, TimeoutError):
                pass
            finally:
                self._inlet.drop()

    def _take_in(self, event: CommandEvent) -> None:
        if isinstance(event, Input):
            self._inlet.put(event.data)
        elif isinstance(event, InputEnded):
            self._inlet.end()
        elif isinstance(event, Resized):
            self._size = (event.rows, event.columns)
            self._resize()
        elif isinstance(event, Began):
            self._began.set()

    def _resize(self) -> None:
        if self._process is not None and self._size is not None:
            try:
                self._process.resize(*self._size)
            except OSError:
                pass  # the terminal has gone with its process

    async def _outcome(self, link: Link) -> Outcome:
        try:
            self._process = process = await link.unless_gone(self._pods.process(self._request))
        except CarobError as error:
            return Outcome(None, error.message)
        feeding = asyncio.create_task(self._feed(process, link))
        try:
            self._resize()
            return await link.unless_gone(self._relay(process, link))
        except CarobError as error:
            return Outcome(None, error.message)
        except (Gone, asyncio.CancelledError):
            process.drop()
            raise
        finally:
            self._process = None
            feeding.cancel()
            await asyncio.wait({feeding})
            process.close()

    async def _relay(self, process: ExecProcess | AttachedApp, link: Link) -> Outcome:
        async def stdout(data: bytes) -> None:
            self._session.stdout(data)
            await link.flush()

        async def stderr(data: bytes) -> None:
            self._session.stderr(data)
            await link.flush()

        return await process.relay(stdout, stderr)

    async def _feed(self, process: ExecProcess | AttachedApp, link: Link) -> None:
        try:
            while data := await self._inlet.get():
                await process.write(data)
                self._session.used(len(data))
                await link.flush()
            process.end_input()
        except (OSError, CarobError, Gone):
            self._inlet.drop()  # it reads no more: what comes is lost, as into a closed pipe
