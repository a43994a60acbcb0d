"""Servers for probes to try, well-behaved and hostile: run as a program, it prints their ports as JSON.

They end with their standard input.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Awaitable, Callable

import trustme

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_PIECE = b"x" * 65536


async def _request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def _says(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(answer)
        await writer.drain()

    return serve


def _says_for_ever(first: bytes, again: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(again)
            await writer.drain()

    return serve


async def _drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: " + b"y" * 10_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def _closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65536)  # what is left unread would make it a reset


async def _is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.sleep(3600)


async def _redirects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A loop at /loop, another host at /away, and a way by several steps to what is well at /way."""
    port = writer.get_extra_info("sockname")[1]
    path = (await _request(reader)).split(b" ")[1]
    steps = {
        b"/loop": b"/loop",
        b"/away": b"http://elsewhere.invalid/",
        b"/secure": f"https://127.0.0.1:{port}/x".encode(),
        b"/a/way": b"there?x=1#part",
        b"/a/there?x=1": f"http://127.0.0.1:{port}/b".encode(),
        b"/b": b"//127.0.0.1:%d/well" % port,
        b"/strange": b"http://127.0.0.1:99999999/",
    }
    if path == b"/well":
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    else:
        writer.write(b"HTTP/1.1 302 Found\nlocation: " + steps.get(path, b"/lost") + b"\n\n")
    await writer.drain()


async def _checks_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Is well where the request is what the test's probe has to send."""
    head = (await _request(reader)).decode().split("\r\n")
    wanted = ["GET /healthz?full=1 HTTP/1.1", "Host: app.example", "X-Word: one two", "Accept: text/plain"]
    well = head[0] == wanted[0] and set(wanted) <= set(head) and sum("ccept" in line for line in head) == 1
    writer.write(b"HTTP/1.1 " + (b"200 OK" if well else b"400 Bad Request") + b"\r\n\r\n")
    await writer.drain()


async def _resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(b"HTTP/1.1 200")
    await writer.drain()
    writer.transport.abort()


SERVERS: dict[str, Serve] = {
    "well": _says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    "strange but well": _says(b"HTTP/1.0 399\n\n"),
    "interim": _says(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    "unwell": _says(b"HTTP/1.1 503 Service Unavailable\r\n\r\nbusy"),
    "endless body": _says_for_ever(b"HTTP/1.1 200 OK\r\n\r\n", _PIECE),
    "endless header": _says_for_ever(b"HTTP/1.1 200 OK\r\nX: ", _PIECE),
    "endless headers": _says_for_ever(b"HTTP/1.1 200 OK\r\n", b"X-More: y\r\n" * 1000),
    "endless interim": _says_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "drips": _drips,
    "closes": _closes,
    "silent": _is_silent,
    "resets": _resets,
    "ssh": _says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "zeros": _says_for_ever(b"", bytes(65536)),
    "redirects": _redirects,
    "request": _checks_request,
    "http/2 flood": _says_for_ever(
        b"\0\0\0\x04\0\0\0\0\0", b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)
    ),  # an empty SETTINGS, and PINGs
}


def _guarded(serve: Serve) -> Serve:
    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return guarded


async def _grpc_server() -> tuple[int, object]:
    import grpc.aio
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    await servicer.set("sick", health_pb2.HealthCheckResponse.NOT_SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return port, server


async def _bare_grpc_server() -> tuple[int, object]:
    import grpc.aio

    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return port, server


async def _main() -> None:
    ports, kept = {}, []
    for name, serve in SERVERS.items():
        server = await asyncio.start_server(_guarded(serve), "127.0.0.1", 0)
        ports[name] = server.sockets[0].getsockname()[1]
        kept.append(server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("strange.example").configure_cert(context)
    for name, serve in (("tls", SERVERS["well"]), ("tls unwell", SERVERS["unwell"])):
        server = await asyncio.start_server(_guarded(serve), "127.0.0.1", 0, ssl=context)
        ports[name] = server.sockets[0].getsockname()[1]
        kept.append(server)
    ports["grpc"], one = await _grpc_server()
    ports["bare grpc"], other = await _bare_grpc_server()
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    del one, other, kept


if __name__ == "__main__":
    asyncio.run(_main())
