"""A client of the streaming server for tests: SPDY over a socket, on the loop."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any
from urllib.parse import urlsplit

from tests.unit.service.streaming import spdy_client as spdy

SOON_S = 60


class Stream:
    """What came on one stream."""

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id
        self.data = b""
        self.has_ended = False


class Client:
    """A connection that was upgraded, or was not: ``status`` tells."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int) -> None:
        self.reader = reader
        self.writer = writer
        self.status = status
        self.peer = spdy.SpdyClient()
        self.streams: dict[int, Stream] = {}
        self.is_over = False

    def open(self, flags: int = 0, **headers: str) -> Stream:
        stream_id, data = self.peer.open(headers, flags)
        self.writer.write(data)
        stream = self.streams[stream_id] = Stream(stream_id)
        return stream

    def send(self, stream: Stream, data: bytes, flags: int = 0) -> None:
        self.writer.write(self.peer.data(stream.stream_id, data, flags))

    async def hear(self) -> None:
        """Takes in what comes next."""
        async with asyncio.timeout(SOON_S):
            data = await self.reader.read(65536)
        self.is_over = not data
        for kind, flags, stream_id, rest in self.peer.receive(data):
            if kind == spdy.DATA:
                self.streams[stream_id].data += rest
                self.streams[stream_id].has_ended |= bool(flags)

    async def until_ended(self, *streams: Stream) -> None:
        while not all(stream.has_ended for stream in streams):
            assert not self.is_over
            await self.hear()

    def break_off(self) -> None:
        """As the kernel does for who is killed."""
        self.writer.transport.abort()


async def connect(url: str, *versions: str, socket_path: str = "") -> Client:
    parts = urlsplit(url)
    if socket_path:
        reader, writer = await asyncio.open_unix_connection(socket_path)
    else:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    # Small, so that a reader who is slow is noticed soon.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Connection: Upgrade",
        "Upgrade: SPDY/3.1",
    ]
    lines += [f"X-Stream-Protocol-Version: {version}" for version in versions]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    return Client(reader, writer, int(answer.split()[1]))


class Command:
    """An exec or attach with the streams that go with these names."""

    def __init__(self, client: Client, names: tuple[str, ...]) -> None:
        self.client = client
        self.streams = {name: client.open(streamtype=name) for name in ("error", *names)}

    def __getitem__(self, name: str) -> Stream:
        return self.streams[name]

    async def end(self) -> dict[str, Any]:
        """The status, once all output has come."""
        outputs = [stream for name, stream in self.streams.items() if name in ("error", "stdout", "stderr")]
        await self.client.until_ended(*outputs)
        status: dict[str, Any] = json.loads(self["error"].data)
        return status


async def command(url: str, *names: str) -> Command:
    client = await connect(url, "v4.channel.k8s.io")
    assert client.status == 101
    return Command(client, names)
