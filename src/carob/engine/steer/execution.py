"""One more process in a running app, with the manners of ``subprocess``: ``enter`` starts it."""

from __future__ import annotations

import os
import select

from carob.engine.observe.ends import from_record, shell_code
from carob.engine.observe.keeper import Deadline
from carob.engine.request import inputs
from carob.errors import CommandFailed, InvalidInput, TimedOut, Unavailable
from carob.supervisor.client import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from carob.engine.observe.ends import AppEnd

_CHUNK_BYTES = 65536
_LAST_BYTES = 1 << 20  # the most that a pipe holds (pipe(7)), so what can be left at a process's end


class Completed:
    """How an execution ended: ``args``, ``end``, ``returncode`` as a shell tells it, and its output."""

    __slots__ = ("args", "end", "returncode", "stderr", "stdout")

    def __init__(self, args: tuple[str, ...], end: AppEnd, stdout: Any, stderr: Any) -> None:
        self.args = args
        self.end = end
        self.returncode = shell_code(end)
        self.stdout = stdout
        self.stderr = stderr

    def __repr__(self) -> str:
        return f"Completed(args={list(self.args)!r}, returncode={self.returncode})"

    def check_returncode(self) -> None:
        """Raises ``CommandFailed`` unless the process ended with 0."""
        if self.returncode != 0:
            said = (
                self.stderr
                if isinstance(self.stderr, str)
                else (self.stderr or b"").decode("utf-8", "replace")
            )
            raise CommandFailed(
                f"{self.args[0]} ended with status {self.returncode}",
                argv=self.args,
                status=self.returncode,
                stderr=said[-2000:],
            )


class Execution:
    """A process that was started. ``stdin``, ``stdout`` and ``stderr`` are descriptors on the caller's side.

    With a terminal there is one for all: ``stdin`` and ``stdout`` are the same, ``stderr`` is -1.
    Close it, or use a ``with`` block; closing leaves the process alone, but for the end of its streams. The
    end of a terminal is SIGHUP for those who have it.
    """

    def __init__(self, connection: Connection, args: tuple[str, ...], streams: tuple[int, int, int]) -> None:
        self.args = args
        self.stdin, self.stdout, self.stderr = streams
        self._connection = connection
        self._end: AppEnd | None = None

    def __enter__(self) -> Execution:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """Readable when the process has ended: ``wait`` then returns at once."""
        return self._connection.fileno()

    def wait(self) -> AppEnd:
        """The end of the process; ``Unavailable`` where the pod ended before that could be told."""
        if self._end is None:
            answer, _ = self._connection.receive()
            self._end = from_record(answer)
        return self._end

    def signal(self, number: int) -> None:
        """Sends the process a signal; one that has ended already is fine."""
        number = inputs.whole(number, "a signal", 1, inputs.LAST_SIGNAL)
        if self._end is None:
            self._connection.send({"op": "signal-exec", "signal": number})

    def kill(self) -> None:
        """Ends the process at once; ``wait`` then tells its end. One that went with its pod is fine."""
        try:
            self.signal(9)
        except Unavailable:
            return

    def resize(self, rows: int, columns: int) -> None:
        """Gives the process's terminal this size, in characters. ``InvalidInput`` where it has none."""
        if self.stdin < 0 or self.stdin != self.stdout:
            raise InvalidInput(f"{self.args[0]} has no terminal, or it was closed")
        from carob.linux import terminal

        terminal.set_size(self.stdin, *inputs.terminal_size((rows, columns)))

    def close_stdin(self) -> None:
        """Ends the process's input."""
        if self.stdin >= 0 and self.stdin != self.stdout:
            os.close(self.stdin)
        self.stdin = -1

    def close(self) -> None:
        """Lets go of the streams and the connection."""
        for descriptor in {self.stdin, self.stdout, self.stderr} - {-1}:
            os.close(descriptor)
        self.stdin = self.stdout = self.stderr = -1
        self._connection.close()

    def communicate(self, data: bytes = b"", *, timeout_s: float | None = None) -> tuple[bytes, bytes]:
        """Feeds ``data``, ends the input, and returns all output once the process has ended."""
        if self.stderr < 0:
            raise InvalidInput("communicate is for pipes: read from and write to a terminal's descriptor")
        deadline, data = Deadline(timeout_s), inputs.payload(data, "data")
        output: dict[int, list[bytes]] = {self.stdout: [], self.stderr: []}
        stdout, stderr = self.stdout, self.stderr
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        for descriptor in output:
            os.set_blocking(descriptor, False)
            poll.register(descriptor, select.POLLIN)
        rest = memoryview(data)
        if rest:
            os.set_blocking(self.stdin, False)
            poll.register(self.stdin, select.POLLOUT)
        else:
            self.close_stdin()
        while self._end is None:
            ready = poll.poll(deadline.poll_ms())
            if deadline.left_s() == 0 and (self.fileno(), select.POLLIN) not in ready:
                # A process that never stops writing is always ready.
                raise TimedOut(f"{self.args[0]} did not end within {timeout_s} s")
            for descriptor, _ in ready:
                if descriptor == self.fileno():
                    self.wait()
                elif descriptor == self.stdin and descriptor not in output:
                    rest = self._feed(rest, poll)
                elif not _read_into(descriptor, output[descriptor]):
                    poll.unregister(descriptor)
        for descriptor, parts in output.items():
            _read_rest(descriptor, parts)
        return b"".join(output[stdout]), b"".join(output[stderr])

    def _feed(self, rest: memoryview, poll: Any) -> memoryview:
        try:
            rest = rest[os.write(self.stdin, rest[:_CHUNK_BYTES]) :]
        except BlockingIOError:
            return rest
        except BrokenPipeError:
            rest = rest[:0]
        if not rest:
            poll.unregister(self.stdin)
            self.close_stdin()
        return rest


def _read_rest(descriptor: int, parts: list[bytes]) -> None:
    """Takes what is left at the process's end, and no more than that: daemons of its may write on."""
    poll = select.poll()  # select(2) knows no descriptor above 1023
    poll.register(descriptor, select.POLLIN)
    left = _LAST_BYTES
    while left > 0 and poll.poll(0) and _read_into(descriptor, parts):
        left -= len(parts[-1])


def _read_into(descriptor: int, parts: list[bytes]) -> bool:
    """Takes what is there; False at the end of the stream."""
    try:
        data = os.read(descriptor, _CHUNK_BYTES)
    except BlockingIOError:
        return True
    parts.append(data)
    return bool(data)


def completed(
    args: tuple[str, ...], end: AppEnd, output: tuple[bytes, bytes], *, text: bool, check: bool
) -> Completed:
    """How it went, with what was captured: as text if asked for. With ``check`` a failure is raised."""
    captured: tuple[Any, Any] = output
    if text:
        captured = output[0].decode("utf-8", "replace"), output[1].decode("utf-8", "replace")
    done = Completed(args, end, *captured)
    if check:
        done.check_returncode()
    return done
