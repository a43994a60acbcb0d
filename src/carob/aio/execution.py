"""One more process in a running app, its streams on the loop."""

from __future__ import annotations

import asyncio
import os

from carob.aio.waits import writable
from carob.engine.request import inputs
from carob.errors import CarobError, InvalidInput, TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Future
    from types import TracebackType

    from carob.engine.observe.ends import AppEnd
    from carob.engine.steer.execution import Execution as Started

_CHUNK_BYTES = 65536
_LAST_BYTES = 1 << 20  # the most that a pipe holds (pipe(7)), which is what can be left at a process's end


class Execution:
    """A process that was started. ``stdout`` and ``stderr`` are streams to read; ``write`` feeds its input.

    With a terminal all output is in ``stdout``, and ``stderr`` is ``None``. Close it, or use an
    ``async with`` block; closing leaves the process alone, but for the end of its streams.
    """

    def __init__(self, started: Started) -> None:
        self.args = started.args
        self._started: Started | None = started
        self._stdout = _Source(started.stdout)
        self._stderr = _Source(started.stderr) if started.stderr >= 0 else None
        self.stdout = self._stdout.reader
        self.stderr = None if self._stderr is None else self._stderr.reader
        self._terminal = started.stdin == started.stdout
        if not self._terminal:
            os.set_blocking(started.stdin, False)
        self._loop = asyncio.get_running_loop()
        self._end: Future[AppEnd] = self._loop.create_future()
        self._loop.add_reader(started.fileno(), self._ended)

    async def __aenter__(self) -> Execution:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ended(self) -> None:
        assert self._started is not None
        self._loop.remove_reader(self._started.fileno())
        try:
            self._end.set_result(self._started.wait())
        except CarobError as error:
            self._end.set_exception(error)
            self._end.exception()  # told to those who ask, and no fault where nobody does

    async def wait(self) -> AppEnd:
        """The end of the process; ``Unavailable`` where the pod ended before that could be told."""
        return await asyncio.shield(self._end)

    async def write(self, data: bytes) -> None:
        """Feeds the process, at its pace. ``BrokenPipeError`` where it reads no more.

        One call at a time. Cancelled, some of the data may have been written.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._stdin(), rest[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                await writable(self._stdin())

    def _stdin(self) -> int:
        if self._started is None or self._started.stdin < 0:
            raise InvalidInput(f"the input of {self.args[0]} is closed")
        return self._started.stdin

    def signal(self, number: int) -> None:
        """Sends the process a signal; one that has ended already is fine."""
        if self._started is not None and not self._end.done():
            self._started.signal(number)

    def kill(self) -> None:
        """Ends the process at once; ``wait`` then tells its end. One that went with its pod is fine."""
        if self._started is not None and not self._end.done():
            self._started.kill()

    def resize(self, rows: int, columns: int) -> None:
        """Gives the process's terminal this size, in characters. ``InvalidInput`` where it has none."""
        if self._started is None:
            raise InvalidInput(f"{self.args[0]} has no terminal, or it was closed")
        self._started.resize(rows, columns)

    def close_stdin(self) -> None:
        """Ends the process's input. A terminal has one stream for both ways, which this leaves open."""
        if self._started is not None and not self._terminal:
            self._started.close_stdin()

    async def communicate(
        self, data: bytes = b"", *, timeout_s: float | None = None, most_bytes: int | None = None
    ) -> tuple[bytes, bytes]:
        """Feeds ``data``, ends the input, and returns all output once the process has ended, or of each
        stream no more than the first ``most_bytes``.

        What processes that it left behind write later is not waited for. Raises ``TimedOut``.
        """
        data, timeout_s = inputs.payload(data, "data"), inputs.timeout(timeout_s)
        readers = [asyncio.ensure_future(_read(self.stdout, most_bytes))]
        if self.stderr is not None:
            readers.append(asyncio.ensure_future(_read(self.stderr, most_bytes)))
        feeding = asyncio.ensure_future(self._feed(data))
        try:
            ended, _ = await asyncio.wait({self._end}, timeout=timeout_s)
            if not ended:
                raise TimedOut(f"{self.args[0]} did not end within {timeout_s} s")
            self._end.result()
            self._stdout.finish()
            if self._stderr is not None:
                self._stderr.finish()
            out, *err = [await reader for reader in readers]
            return out, err[0] if err else b""
        finally:
            for task in (feeding, *readers):
                task.cancel()
            await asyncio.gather(feeding, *readers, return_exceptions=True)

    async def _feed(self, data: bytes) -> None:
        try:
            await self.write(data)
        except BrokenPipeError:
            pass
        self.close_stdin()

    def close(self) -> None:
        """Lets go of the streams and the connection."""
        started, self._started = self._started, None
        if started is None:
            return
        self._loop.remove_reader(started.fileno())
        self._stdout.close()
        if self._stderr is not None:
            self._stderr.close()
        if started.stdin >= 0:
            self._loop.remove_writer(started.stdin)
        started.close()
        if not self._end.done():
            self._end.cancel()


async def _read(reader: asyncio.StreamReader, most_bytes: int | None) -> bytes:
    """All of a stream; what is more than that is read, and forgotten."""
    if most_bytes is None:
        return await reader.read()
    kept = bytearray()
    while data := await reader.read(_CHUNK_BYTES):
        kept += data[: most_bytes - len(kept)]
    return bytes(kept)


class _Source(asyncio.ReadTransport):
    """A descriptor as the transport of a ``StreamReader``, which says when it has enough for now.

    It is not asyncio's own because its end is not always that of the pipe: daemons may hold that open.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.reader = asyncio.StreamReader()
        self.reader.set_transport(self)
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        self.resume_reading()

    def resume_reading(self) -> None:
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._take)

    def pause_reading(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)

    def is_closing(self) -> bool:
        return self._descriptor < 0

    def _take(self) -> int:
        """Hands on what is there; returns how many bytes that were."""
        try:
            data = os.read(self._descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # EIO: nobody has the terminal's other side any more
        if data:
            self.reader.feed_data(data)
        else:
            self.close()
        return len(data)

    def finish(self) -> None:
        """Takes what is left in the pipe for the end of the stream."""
        left = _LAST_BYTES
        while left > 0 and self._descriptor >= 0 and (count := self._take()):
            left -= count
        self.close()

    def close(self) -> None:
        """Ends the stream for the reader; the descriptor is the execution's to close."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._descriptor = -1
            self.reader.feed_eof()
