"""A CRI service of three calls, as a process of its own: Exec, Attach and PortForward, with nothing behind
them but carob's streaming server. The id of a container is the pod's uuid and the app's name: UUID/APP.

It writes READY and its streaming server's address once it listens, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import grpc

from carob import Engine, aio
from carob.errors import CarobError
from carob.service.streaming.pods import Pods
from carob.service.streaming.requests import AttachRequest, ExecRequest, ForwardRequest, Request
from carob.service.streaming.server import StreamingServer
from carob.service.streaming.wanted import Wanted


def fields(message: bytes) -> dict[int, list[Any]]:
    """The fields of a protobuf message, by number: whole numbers and bytes."""
    found: dict[int, list[Any]] = {}
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        key = number()
        value: Any = number()
        if key & 7 == 2:
            position, value = position + value, message[position : position + value]
        found.setdefault(key >> 3, []).append(value)
    return found


def texts(*values: str) -> bytes:
    """A message whose first fields are these short strings."""
    return b"".join(
        bytes((number << 3 | 2, len(value))) + value.encode() for number, value in enumerate(values, 1)
    )


def flag(found: dict[int, list[Any]], number: int) -> bool:
    return bool(found.get(number, [0])[0])


def exec_request(message: bytes) -> Request:
    found = fields(message)
    pod, _, app = found[1][0].decode().partition("/")
    tty, stdin, stdout, stderr = (flag(found, number) for number in (3, 4, 5, 6))
    wanted = Wanted(stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
    return ExecRequest(pod, app, [word.decode() for word in found[2]], wanted)


def attach_request(message: bytes) -> Request:
    found = fields(message)
    pod, _, app = found[1][0].decode().partition("/")
    stdin, tty, stdout, stderr = (flag(found, number) for number in (2, 3, 4, 5))
    return AttachRequest(pod, app, Wanted(stdin=stdin, stdout=stdout, stderr=stderr, tty=tty))


def forward_request(message: bytes) -> Request:
    return ForwardRequest(fields(message)[1][0].decode())


def handlers(server: StreamingServer) -> grpc.GenericRpcHandler:
    def streaming(parse: Callable[[bytes], Request]) -> grpc.RpcMethodHandler:
        async def call(message: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            try:
                return texts(server.url(parse(message)))
            except CarobError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
                raise

        return grpc.unary_unary_rpc_method_handler(call)

    async def version(_: bytes, __: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return texts("0.1.0", "carob", "1", "v1")

    return grpc.method_handlers_generic_handler(
        "runtime.v1.RuntimeService",
        {
            "Version": grpc.unary_unary_rpc_method_handler(version),
            "Exec": streaming(exec_request),
            "Attach": streaming(attach_request),
            "PortForward": streaming(forward_request),
        },
    )


def images() -> grpc.GenericRpcHandler:
    """What crictl asks for to see that there is an image service."""

    async def nothing(_: bytes, __: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return b""

    return grpc.method_handlers_generic_handler(
        "runtime.v1.ImageService", {"ImageFsInfo": grpc.unary_unary_rpc_method_handler(nothing)}
    )


async def main(data_dir: str, socket_path: str) -> None:
    async with aio.Engine(data_dir) as on_loop:
        pods = Pods(Engine(data_dir), on_loop)
        async with StreamingServer(pods) as server:
            service = grpc.aio.server()
            service.add_generic_rpc_handlers((handlers(server), images()))
            service.add_insecure_port(f"unix://{socket_path}")
            await service.start()
            print("READY", flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            await service.stop(None)
        await pods.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
