"""How a service comes by its sockets: its own, at addresses; systemd's; and with TLS."""

from __future__ import annotations

import asyncio
import os
import socket

import grpc

from carob.errors import Conflict, InvalidInput, Unavailable
from carob.service.addresses import TcpAddress, UnixAddress, grpc_target
from carob.service.relay import relay
from carob.service.settings import default_address, run_directory
from carob.service.socket_places import SocketPlace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from carob.service.metrics_server import MetricsServer
    from carob.service.settings import ServiceSettings, Tls

_MOST_RELAYS = 64


def listen(
    server: grpc.aio.Server, settings: ServiceSettings, sockets: list[socket.socket], stack: AsyncExitStack
) -> dict[str, object]:
    """Has the server listen where it is to, until the stack ends; returns that, for the log. A service of CRI
    that is told nothing else listens nowhere else.

    Raises ``Conflict``, ``Unavailable``, ``InvalidInput``.
    """
    if sockets:
        path = _listen_privately(server, stack)
        for one in sockets:
            stack.enter_context(one)
            task = asyncio.create_task(relay(one, path))
            stack.push_async_callback(_end, task)
        return {"listen": [_name_of(one) for one in sockets]}
    listening = []
    for address in settings.listen or (() if settings.cri else (default_address(),)):
        if isinstance(address, UnixAddress):
            listen_at(server, address, stack, mode=settings.socket_mode, gid=settings.socket_gid)
            listening.append(str(address))
        else:
            port = _bind(server, str(address), settings.tls)
            listening.append(str(TcpAddress(address.host, port)))
    return {"listen": listening}


def listen_at(
    server: grpc.aio.Server, address: UnixAddress, stack: AsyncExitStack, *, mode: int, gid: int = -1
) -> None:
    """Has the server listen on a socket in the file system, until the stack ends."""
    place = SocketPlace(address.path)
    stack.callback(place.leave)
    place.bind(lambda path: _bind(server, grpc_target(path), None), mode=mode, gid=gid)


def _listen_privately(server: grpc.aio.Server, stack: AsyncExitStack) -> str:
    """On the first free one of a few sockets that nobody else may connect to; returns its path."""
    directory = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or run_directory()
    for number in range(_MOST_RELAYS):
        path = os.path.join(directory, f"relay.{number}.sock")
        try:
            place = SocketPlace(path)
        except Conflict:
            continue
        stack.callback(place.leave)
        place.bind(lambda new: _bind(server, grpc_target(new), None), mode=0o600)
        return path
    raise Conflict(f"{_MOST_RELAYS} services are relayed to in {directory}, and no more can be")


def _bind(server: grpc.aio.Server, target: str, tls: Tls | None) -> int:
    try:
        if tls is None:
            return server.add_insecure_port(target)
        return server.add_secure_port(target, _credentials(tls))
    except RuntimeError as error:  # gRPC's way of saying so; it does not say why
        raise Unavailable(
            f"the service cannot listen on {target}", hint="is it taken? does the machine have the address?"
        ) from error


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    read = []
    for path in (tls.key, tls.certificate, tls.client_ca):
        try:
            with open(path, "rb") as file:
                read.append(file.read())
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    key, certificate, client_ca = read
    return grpc.ssl_server_credentials([(key, certificate)], client_ca, require_client_auth=True)


async def listen_for_metrics(
    told: MetricsServer,
    settings: ServiceSettings,
    address: UnixAddress | TcpAddress,
    stack: AsyncExitStack,
) -> str:
    """The same for the page of metrics."""
    if isinstance(address, TcpAddress):
        try:
            server = await told.start_tcp(address)
        except OSError as error:
            raise Unavailable(f"the metrics cannot be told on {address}: {error.strerror}") from error
        stack.callback(server.close)
        return str(TcpAddress(address.host, server.sockets[0].getsockname()[1]))
    place = SocketPlace(address.path)
    stack.callback(place.leave)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    place.bind(lambda path: _bind_unix(listener, path), mode=settings.socket_mode, gid=settings.socket_gid)
    server = await told.start_unix(listener)
    stack.callback(server.close)
    return str(address)


def _bind_unix(listener: socket.socket, path: str) -> None:
    try:
        os.unlink(path)  # a killed service's, which the lock says is gone
    except FileNotFoundError:
        pass
    listener.bind(path)


def _name_of(listener: socket.socket) -> str:
    name = listener.getsockname()
    return f"unix:{name}" if isinstance(name, str) else str(TcpAddress(name[0], name[1]))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
