"""Connections of a socket that was handed in, passed on to the one that gRPC listens on.

gRPC's library for Python takes no listening socket. So what comes in on one of systemd's is copied, both
ways, to a socket of the service's own that nobody else may connect to.
"""

from __future__ import annotations

import asyncio
import errno
import socket

_PIECE_BYTES = 1 << 16
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_FULL_PAUSE_S = 0.1


async def relay(listener: socket.socket, path: str) -> None:
    """Serves the listener until it is cancelled, and then ends its connections."""
    loop = asyncio.get_running_loop()
    connections: set[asyncio.Task[None]] = set()
    try:
        while True:
            try:
                caller, _ = await loop.sock_accept(listener)
            except OSError as error:
                # A caller that is gone already is not the listener's trouble.
                if error.errno in _FULL:
                    await asyncio.sleep(_FULL_PAUSE_S)
                continue
            connection = loop.create_task(_connect(caller, path))
            connections.add(connection)
            connection.add_done_callback(connections.discard)
    finally:
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _connect(caller: socket.socket, path: str) -> None:
    loop = asyncio.get_running_loop()
    with caller, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as inner:
        inner.setblocking(False)
        try:
            await loop.sock_connect(inner, path)
            await asyncio.gather(_copy(caller, inner), _copy(inner, caller))
        except OSError:
            return  # one of the two has broken it off, and so does this


async def _copy(source: socket.socket, target: socket.socket) -> None:
    """Until the source's end, which the target is told. One that does not read holds up this way only."""
    loop = asyncio.get_running_loop()
    piece = bytearray(_PIECE_BYTES)
    view = memoryview(piece)
    while count := await loop.sock_recv_into(source, piece):
        await loop.sock_sendall(target, view[:count])
    target.shutdown(socket.SHUT_WR)
