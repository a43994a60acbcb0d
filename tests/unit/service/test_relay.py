from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from carob.service.relay import relay


def test_bytes_go_both_ways_and_each_way_ends_by_itself(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()  # to the caller's end
        writer.write(data[::-1])
        writer.close()
        await writer.wait_closed()

    async def scenario() -> None:
        inner = await asyncio.start_unix_server(serve, str(tmp_path / "inner"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "outer"))
            listener.listen()
            listener.setblocking(False)
            task = asyncio.create_task(relay(listener, str(tmp_path / "inner")))
            sent = bytes(range(256)) * 4096

            async def call() -> bytes:
                reader, writer = await asyncio.open_unix_connection(str(tmp_path / "outer"))
                writer.write(sent)
                writer.write_eof()
                found = await reader.read()
                writer.close()
                await writer.wait_closed()
                return found

            stalled = socket.socket(socket.AF_UNIX)
            stalled.connect(str(tmp_path / "outer"))  # says nothing, and holds up nobody
            assert await asyncio.gather(*(call() for _ in range(5))) == [sent[::-1]] * 5
            inner.close()
            await inner.wait_closed()
            task.cancel()
            await asyncio.wait({task})
            assert stalled.recv(1) == b""
            stalled.close()

    asyncio.run(scenario())
