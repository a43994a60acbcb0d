"""What an app reads and writes: pipes that init made, or a terminal made in the pod; anew at each start.

All output goes to the app's log, and who is attached reads it there. The writing end of the app's input, or
the terminal, is handed to who asks for it (``carob.supervisor.control``); with ``once`` it is theirs alone,
so that its end is the input's.
"""

from __future__ import annotations

import os

from carob.protocol import life
from carob.supervisor import console

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from carob.logs.writer import LogWriter

_READ_BYTES = 65536
_MAX_READS = 64
_LONGEST_WORDS = 8192


class Streams:
    """The streams of one app. ``outputs`` are init's descriptors, with the name of the stream in the log."""

    __slots__ = ("_console", "_modes", "_path", "input", "log", "outputs", "tty")

    def __init__(self, spec: dict[str, Any], log: LogWriter) -> None:
        self._modes = spec.get("streams") or {}
        self._path = f"/run/tty_{id(self):x}.sock"  # an app's name may be too long for a socket's path
        self._console: socket | None = None
        self.tty = self._modes.get("stdin") == life.TTY
        self.log = log
        self.input = -1
        self.outputs: dict[int, str] = {}

    def open(self) -> tuple[list[int], str]:
        """The runtime's ends of stdin, stdout and stderr, which the caller closes, and a path for its console
        socket, ``""`` without a terminal.
        """
        theirs: list[int] = []
        try:
            if self.tty:
                self._console = console.listen(self._path)
                theirs += [_null() for _ in range(3)]
                return theirs, self._path
            if self._modes.get("stdin", life.NULL) == life.NULL:
                theirs.append(_null())
            else:
                reading, self.input = os.pipe2(os.O_CLOEXEC)
                theirs.append(reading)
            for stream in ("stdout", "stderr"):
                theirs.append(_null() if self._modes.get(stream) == life.NULL else self._pipe(stream))
        except BaseException:
            for descriptor in theirs:
                os.close(descriptor)
            self.discard()
            raise
        return theirs, ""

    def _pipe(self, stream: str) -> int:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        self.outputs[reading] = stream
        return writing

    def take_terminal(self) -> None:
        """Takes the terminal that the runtime has made; ``OSError`` where it has not."""
        if self._console is None:
            return
        master = console.receive(self._console)
        self._forget_console()
        self.input = master[0] if master else -1
        if self.input < 0:
            raise OSError("the runtime made no terminal")
        os.set_blocking(self.input, False)
        self.outputs[os.dup(self.input)] = "stdout"

    def drain(self, descriptor: int) -> bool:
        """Moves what the app wrote to the log; False once that stream is over."""
        stream = self.outputs[descriptor]
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:  # a terminal whose other side is closed: EIO
            data = b""
        if data:
            self.log.feed(stream, data)
            return True
        self._close_output(descriptor)
        return False

    def words(self) -> bytes:
        """The beginning of what was written and not read yet."""
        said = b""
        for descriptor in self.outputs:
            try:
                said += os.read(descriptor, _LONGEST_WORDS)
            except OSError:  # nothing was: EAGAIN, or EIO of a terminal
                continue
        return said

    def drain_all(self) -> None:
        """Takes what is left and closes all.

        No more than a pipe can hold: another app may have been given the pipe and write on and on.
        """
        for descriptor in list(self.outputs):
            for _ in range(_MAX_READS):
                try:
                    data = os.read(descriptor, _READ_BYTES)
                except OSError:
                    break
                if not data:
                    break
                self.log.feed(self.outputs[descriptor], data)
            self._close_output(descriptor)
        self.discard()

    def discard(self) -> None:
        """Closes all unread: of an app that never ran the pipes hold what the runtime's log has as well."""
        for descriptor in self.outputs:
            os.close(descriptor)
        self.outputs = {}
        self.close_input()
        self._forget_console()

    def close_input(self) -> None:
        """Lets go of the input: where nobody else has it, the app sees its end."""
        if self.input >= 0:
            os.close(self.input)
            self.input = -1

    def _close_output(self, descriptor: int) -> None:
        """Ends one stream: its last line is written and its pipe closed."""
        self.log.finish(self.outputs.pop(descriptor))
        os.close(descriptor)

    def _forget_console(self) -> None:
        if self._console is not None:
            self._console.close()
            self._console = None
            os.unlink(self._path)


def _null() -> int:
    return os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
