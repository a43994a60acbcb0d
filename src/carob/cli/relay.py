"""Passing bytes between the caller's streams and a process in a pod, and the caller's terminal meanwhile."""

from __future__ import annotations

import _signal
import os
from select import POLLIN, POLLOUT, poll

from carob.cli.output import STDERR, STDOUT, write_bytes
from carob.errors import CarobError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from carob.engine.steer.execution import Execution

_CHUNK_BYTES = 65536
_STDIN = 0
_SIGHUP, _SIGINT, _SIGKILL, _SIGTERM, _SIGWINCH = 1, 2, 9, 15, 28


class Signaled(Exception):
    """The command itself was asked to end while it had the terminal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def pass_on(execution: Execution) -> None:
    """Relays all three streams until the process has ended and what it wrote is out.

    ``BrokenPipeError`` where nobody reads standard output any more.
    """
    relay = _Relay(execution)
    while not relay.ended:
        relay.step()
    relay.drain()


class _Relay:
    """The streams that are still open, and input that the process has not taken yet."""

    def __init__(self, execution: Execution) -> None:
        self.ended = False
        self._execution = execution
        self._outputs = {execution.stdout: STDOUT}
        if execution.stderr >= 0:
            self._outputs[execution.stderr] = STDERR
        for descriptor in {execution.stdin, *self._outputs}:
            os.set_blocking(descriptor, False)
        self._input = b""
        self._input_open = True

    def step(self) -> None:
        """Waits until something can be done, and does it."""
        waiting = poll()
        events = dict.fromkeys(self._outputs, POLLIN) | {self._execution.fileno(): POLLIN}
        if self._input:
            events[self._execution.stdin] = events.get(self._execution.stdin, 0) | POLLOUT
        elif self._input_open:
            events[_STDIN] = POLLIN
        for descriptor, event in events.items():
            waiting.register(descriptor, event)
        for descriptor, event in waiting.poll():
            if descriptor in self._outputs and event & ~POLLOUT:
                self._take(descriptor)
            if descriptor == self._execution.stdin and self._input:
                self._feed()
            elif descriptor == _STDIN:
                self._read_input()
            elif descriptor == self._execution.fileno():
                self._execution.wait()
                self.ended = True

    def drain(self) -> None:
        """Takes what is left in the pipes; what other processes write later is not waited for."""
        for descriptor in list(self._outputs):
            while descriptor in self._outputs and self._take(descriptor):
                continue

    def _take(self, descriptor: int) -> bool:
        """Passes on what is there; False where there is nothing."""
        try:
            data = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # a terminal whose other side is closed: EIO
            data = b""
        if not data:
            del self._outputs[descriptor]
            return False
        write_bytes(data, self._outputs[descriptor])
        return True

    def _read_input(self) -> None:
        try:
            self._input = os.read(_STDIN, _CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._input = b""
        if self._input:
            self._feed()
        else:
            self._input_open = False
            self._execution.close_stdin()

    def _feed(self) -> None:
        try:
            self._input = self._input[os.write(self._execution.stdin, self._input) :]
        except BlockingIOError:
            return
        except OSError:  # the process reads no more
            self._input = b""
            self._input_open = False
            self._execution.close_stdin()


class Signals:
    """In a ``with`` block: SIGINT, SIGTERM and SIGHUP go to the process, which has no terminal for that.

    A second SIGINT kills it. A signal that was ignored before stays so.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._interrupted = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in (_SIGHUP, _SIGINT, _SIGTERM):
            if _signal.getsignal(number) not in (_signal.SIG_IGN, None):
                self._handlers[number] = _signal.signal(number, self._pass_on)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            _signal.signal(number, handler)

    def _pass_on(self, number: int, frame: object) -> None:
        if number == _SIGINT and self._interrupted:
            number = _SIGKILL
        self._interrupted = self._interrupted or number == _SIGINT
        try:
            self._execution.signal(number)
        except CarobError:
            return  # the pod is over, which the relay is about to see


def terminal_size() -> tuple[int, int] | None:
    """Rows and columns of the caller's terminal; ``None`` where it has none to tell."""
    try:
        columns, rows = os.get_terminal_size(_STDIN)
    except OSError:
        return None
    return (rows, columns) if rows and columns else None


class Terminal:
    """In a ``with`` block: the caller's terminal is raw, and its size is that of the terminal in the pod.

    It is restored at the end. Where this process is asked to end that raises ``Signaled``, with ``ends``.
    """

    def __init__(self, master: int, *, ends: bool = True) -> None:
        self.master = master
        self._ends = ends
        self._attributes: list[Any] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Terminal:
        import termios

        self._attributes = termios.tcgetattr(_STDIN)
        self._pass_size_on(0, None)
        self._handlers[_SIGWINCH] = _signal.signal(_SIGWINCH, self._pass_size_on)
        if self._ends:
            for number in (_SIGTERM, _SIGHUP):
                self._handlers[number] = _signal.signal(number, _raise_signaled)
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, _raw(self._attributes))  # what was typed stays
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import termios

        for number, handler in self._handlers.items():
            _signal.signal(number, handler)
        try:
            termios.tcsetattr(_STDIN, termios.TCSADRAIN, self._attributes)
        except termios.error:
            return  # the terminal is gone

    def _pass_size_on(self, number: int, frame: object) -> None:
        """TIOCGWINSZ here, TIOCSWINSZ there (ioctl_tty(2)); init's kernel tells the process."""
        import fcntl
        import termios

        try:
            size = fcntl.ioctl(_STDIN, termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)
        except OSError:
            return


def _raise_signaled(number: int, frame: object) -> None:
    raise Signaled(number)


def _raw(attributes: list[Any]) -> list[Any]:
    """The attributes with every byte passed through as it is (cfmakeraw(3))."""
    import termios

    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = attributes
    iflag &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
        | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
    )  # fmt: skip
    oflag &= ~termios.OPOST
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    characters = list(characters)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [iflag, oflag, cflag, lflag, ispeed, ospeed, characters]
