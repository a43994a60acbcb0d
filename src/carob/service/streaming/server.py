"""The server to which the kubelet sends those who exec, attach and forward ports.

It listens on loopback, or on a unix socket, and serves who has a URL from it: each once, and not for long.
"""

from __future__ import annotations

import asyncio
import socket

from carob.errors import Conflict, InvalidInput
from carob.service.socket_places import SocketPlace
from carob.service.streaming import protocols
from carob.service.streaming.channel_command import ChannelCommand
from carob.service.streaming.channel_forward import ChannelForward
from carob.service.streaming.handshake import Handshake, Refusal
from carob.service.streaming.protocols import Transport
from carob.service.streaming.requests import ForwardRequest, Waiting
from carob.service.streaming.serve_command import ServedCommand
from carob.service.streaming.serve_forward import ServedForward
from carob.service.streaming.spdy_command import SpdyCommand
from carob.service.streaming.spdy_forward import SpdyForward
from carob.service.streaming.tunnel import TunnelForward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from carob.service.streaming.handshake import Upgrade
    from carob.service.streaming.pods import Pods
    from carob.service.streaming.requests import Request

_HANDSHAKE_S = 10.0
_PIECE_BYTES = 65536
_LOOPBACK = ("127.0.0.1", "::1")


class StreamingServer:
    """Use it in an ``async with`` block, in which ``url`` gives out URLs."""

    def __init__(
        self,
        pods: Pods,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        socket_path: str = "",
        most_connections: int = 256,
        waiting: Waiting | None = None,
    ) -> None:
        """Port 0 is any that is free. Raises ``InvalidInput`` for an address that is not loopback."""
        if not socket_path and address not in _LOOPBACK:
            raise InvalidInput(
                f"streams are not served on {address}: they are neither encrypted nor authenticated",
                hint=f"{' or '.join(_LOOPBACK)}; the kubelet comes from this machine",
            )
        self._pods = pods
        self._address = (address, port)
        self._socket_path = socket_path
        self._most = most_connections
        self._waiting = waiting or Waiting()
        self._server: asyncio.Server | None = None
        self._base = ""
        self._place: SocketPlace | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> StreamingServer:
        """Begins to listen. Raises ``Conflict`` where the address is taken, or ``Unavailable``."""
        try:
            if self._socket_path:
                self._server = await asyncio.start_unix_server(self._accept, sock=self._unix_socket())
                self._base = "http://localhost"
            else:
                self._server = await asyncio.start_server(self._accept, *self._address)
                address, port = self._server.sockets[0].getsockname()[:2]
                self._base = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
        except OSError as error:
            where = self._socket_path or "{}:{}".format(*self._address)
            raise Conflict(f"cannot listen on {where}: {error.strerror}") from error
        return self

    def _unix_socket(self) -> socket.socket:
        self._place = place = SocketPlace(self._socket_path)
        made = socket.socket(socket.AF_UNIX)
        try:
            place.bind(made.bind, mode=0o600)
        except BaseException:
            made.close()
            place.leave()
            raise
        return made

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)
        await self._server.wait_closed()
        if self._place is not None:
            self._place.leave()

    def url(self, request: Request) -> str:
        """Where the request's client is to go, once and within a minute. Raises ``OutOfResources``."""
        return self._base + self._waiting.add(request)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= self._most:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the client has broken off, or the server ends: there is nobody to be told
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if writer.get_extra_info("socket").family != socket.AF_UNIX:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        handshake = Handshake()
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                path = None
                while path is None:
                    path = handshake.receive(await reader.read(_PIECE_BYTES))
            request = self._waiting.take(path)
            if request is None:
                raise Refusal(404, "no stream waits here: it was used, it is too old, or it never was")
            served = self._upgrade(handshake, request)
        except TimeoutError:
            return
        except Refusal as refusal:
            writer.write(handshake.refuse(refusal))
            await writer.drain()
            return
        session, (answer, early) = served
        writer.write(answer)
        await session.run(reader, writer, early)

    def _upgrade(
        self, handshake: Handshake, request: Request
    ) -> tuple[ServedCommand | ServedForward, tuple[bytes, bytes]]:
        if isinstance(request, ForwardRequest):
            upgrade = handshake.choose(protocols.FORWARD_SPDY, protocols.FORWARD_WEBSOCKET)
            answer = handshake.switch(upgrade)
            return ServedForward(_forward(upgrade, request), request.pod, self._pods), answer
        upgrade = handshake.choose(protocols.COMMAND_SPDY, protocols.COMMAND_WEBSOCKET)
        answer = handshake.switch(upgrade)
        made = SpdyCommand if upgrade.transport is Transport.SPDY else ChannelCommand
        return ServedCommand(made(upgrade.protocol, request.wanted), request, self._pods), answer


def _forward(upgrade: Upgrade, request: ForwardRequest) -> SpdyForward | ChannelForward:
    if upgrade.transport is Transport.SPDY:
        return SpdyForward()
    if upgrade.protocol == protocols.TUNNEL:
        return TunnelForward()
    return ChannelForward(upgrade.protocol, request.ports)
