"""The page that Prometheus reads: HTTP/1.1 (RFC 9112), GET of one path, one request a connection."""

from __future__ import annotations

import asyncio

from carob.errors import CarobError
from carob.service.addresses import TcpAddress
from carob.service.metrics import images_text, pods_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from carob.aio.steps import Steps
    from carob.engine.engine import Engine
    from carob.service.metrics import CallMetrics

_PATH = b"/metrics"
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MOST_HEAD_BYTES = 16384
_HEAD_S = 5.0
_ANSWER_S = 30.0
_MOST_AT_ONCE = 4


class MetricsServer:
    """Tells the calls that are counted, and pods and images as they are when it is asked."""

    def __init__(self, engine: Engine, steps: Steps, calls: CallMetrics) -> None:
        self._engine = engine
        self._steps = steps
        self._calls = calls
        self._at_once = asyncio.Semaphore(_MOST_AT_ONCE)

    async def start_tcp(self, address: TcpAddress) -> asyncio.Server:
        """Listens on an address of this machine alone."""
        return await asyncio.start_server(
            self._serve, address.host, address.port, limit=_MOST_HEAD_BYTES, reuse_address=True
        )

    async def start_unix(self, bound: socket.socket) -> asyncio.Server:
        """Listens on a socket in the file system."""
        return await asyncio.start_unix_server(self._serve, sock=bound, limit=_MOST_HEAD_BYTES)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._at_once:
                async with asyncio.timeout(_HEAD_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                async with asyncio.timeout(_ANSWER_S):
                    writer.write(await self._answer(head))
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            return  # it asks for nothing, or too slowly, or has gone
        finally:
            writer.close()

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if path != _PATH:
            return _response("404 Not Found", "the metrics are at /metrics\n")
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", "GET\n", "Allow: GET, HEAD\r\n")
        try:
            text = await self._text()
        except CarobError as error:
            return _response("503 Service Unavailable", f"{error.message}\n")
        return _response("200 OK", text, body=method == b"GET")

    async def _text(self) -> str:
        states = await self._steps.run(_count_states, self._engine)
        usage = await self._steps.run(self._engine.images.usage)
        sizes = {
            "blobs": usage.blob_bytes,
            "layers": usage.layer_bytes,
            "temporary": usage.temporary_bytes,
            "quarantine": usage.quarantine_bytes,
        }
        return pods_text(states) + images_text(sizes, len(usage.images)) + self._calls.text()


def _count_states(engine: Engine) -> dict[str, int]:
    counts: dict[str, int] = {}
    for summary in engine.summaries():
        state = str(summary.state).replace(" ", "-")
        counts[state] = counts.get(state, 0) + 1
    return counts


def _response(status: str, text: str, more: str = "", *, body: bool = True) -> bytes:
    raw = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {_CONTENT_TYPE}\r\nContent-Length: {len(raw)}\r\n"
        f"Connection: close\r\n{more}\r\n"
    )
    return head.encode() + (raw if body else b"")
