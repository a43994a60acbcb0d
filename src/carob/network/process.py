"""Running other people's programs: no shell, little environment, limited time and output, several at once.

A program gets its standard streams and the descriptors named for it, and nothing else that is open here. It
leads a process group; one that takes too long or says too much is killed with its group.
"""

from __future__ import annotations

import os
from _signal import SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGTERM
from fcntl import F_DUPFD_CLOEXEC, fcntl
from select import POLLIN, POLLOUT
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

STDOUT_BYTES = 1 << 20
STDERR_BYTES = 1 << 16
KILL_WAIT_S = 2.0

_SIGXFSZ = 25
_DEFAULT_SIGNALS = (SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, _SIGXFSZ)
_ABOVE_STANDARD = 16
_READ_BYTES = 1 << 16

TIMED_OUT = "timed out"
TOO_MUCH = "said too much"
STUCK = "cannot be killed"
LOST = "ended, and how was told to somebody else: does this program ignore SIGCHLD, or wait for any child?"


class Command:
    """A program to run.

    ``argv`` begins with an absolute path, ``environment`` is all that it gets, ``stdin`` what it reads,
    ``limit_s`` its time in seconds, ``stdout_bytes`` what it may say. ``descriptors`` are open for it and its
    children: (ours, number there).
    """

    __slots__ = ("argv", "descriptors", "environment", "limit_s", "stdin", "stdout_bytes")

    def __init__(
        self,
        argv: tuple[str, ...],
        *,
        environment: Mapping[str, str],
        limit_s: float,
        stdin: bytes = b"",
        stdout_bytes: int = STDOUT_BYTES,
        descriptors: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.stdout_bytes = stdout_bytes
        self.argv = argv
        self.environment = environment
        self.stdin = stdin
        self.limit_s = limit_s
        self.descriptors = descriptors


class Finished:
    """How a program ended.

    ``status`` is its exit status (negative: the signal), ``stdout`` the beginning and ``stderr`` the end of
    what it said, ``cut_off`` why it was killed, or ``""``.
    """

    __slots__ = ("cut_off", "status", "stderr", "stdout")

    def __init__(self, status: int, stdout: bytes, stderr: bytes, cut_off: str = "") -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        self.cut_off = cut_off

    @property
    def succeeded(self) -> bool:
        """Whether it ended by itself, with status 0."""
        return self.status == 0 and not self.cut_off

    def last_words(self) -> str:
        """The end of what it said on standard error."""
        return self.stderr[-2000:].decode("utf-8", "replace").strip()


class _Output:
    """One of its output streams: our end of the pipe (-1: closed) and what came through."""

    __slots__ = ("data", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.data = bytearray()

    def read(self) -> bool:
        """Reads once; whether there may be more at once."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self.data += data
        if not data:
            self.close()
        return bool(data)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Process:
    """A running program, to be watched with a poll: its streams, its end, and its time."""

    __slots__ = ("_cut_off", "_err", "_in", "_out", "_stdin", "_stdout_bytes", "deadline", "pid", "pidfd")

    def __init__(self, command: Command) -> None:
        """Starts it. Raises ``OSError``, with nothing left, where that is impossible."""
        self._cut_off = ""
        self._stdin = memoryview(command.stdin)
        self._stdout_bytes = command.stdout_bytes
        pipes: list[int] = []
        try:
            for _ in range(3):
                pipes += _pipe()
            their_in, our_in, our_out, their_out, our_err, their_err = pipes
            self.pid = _spawn(command, (their_in, their_out, their_err))
        except BaseException:
            for descriptor in pipes:
                os.close(descriptor)
            raise
        for descriptor in (their_in, their_out, their_err):
            os.close(descriptor)
        for descriptor in (our_in, our_out, our_err):
            os.set_blocking(descriptor, False)
        self._in, self._out, self._err = our_in, _Output(our_out), _Output(our_err)
        self.deadline = monotonic() + command.limit_s
        self.pidfd = os.pidfd_open(self.pid)

    def watched(self) -> dict[int, int]:
        """The descriptors to poll, each with the events to wait for."""
        found = {self._in: POLLOUT, self._out.fd: POLLIN, self._err.fd: POLLIN, self.pidfd: POLLIN}
        found.pop(-1, None)
        return found

    def hear(self, descriptor: int) -> None:
        """To be called when one of the watched descriptors is ready."""
        if descriptor == self._in:
            self._write()
        elif descriptor == self._out.fd:
            self._out.read()
            if len(self._out.data) > self._stdout_bytes:
                del self._out.data[self._stdout_bytes :]
                self.kill(TOO_MUCH)
        elif descriptor == self._err.fd:
            self._err.read()
            del self._err.data[:-STDERR_BYTES]

    def _write(self) -> None:
        try:
            self._stdin = self._stdin[os.write(self._in, self._stdin) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not want to read the rest
            self._stdin = self._stdin[:0]
        if not self._stdin:
            os.close(self._in)
            self._in = -1

    def kill(self, reason: str) -> None:
        """Kills it with its process group; ``reason`` is what ``Finished.cut_off`` will say."""
        if self._cut_off:
            return
        self._cut_off = reason
        self.deadline = monotonic() + KILL_WAIT_S
        try:
            os.killpg(self.pid, SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    def expire(self) -> bool:
        """To be called when its time is over; ``True`` where it was killed already and would not die."""
        if self._cut_off:
            self._cut_off = STUCK
            return True
        self.kill(TIMED_OUT)
        return False

    def finish(self) -> Finished:
        """To be called once ``pidfd`` is ready, or the process is given up. Closes all descriptors.

        What it wrote is read to the end; a child of its own that keeps the pipes open is not waited for.
        """
        status = self._reap()
        for output, limit in ((self._out, self._stdout_bytes), (self._err, STDERR_BYTES)):
            while output.fd >= 0 and len(output.data) < limit and output.read():
                pass
            output.close()
        if self._in >= 0:
            os.close(self._in)
        os.close(self.pidfd)
        return Finished(status, bytes(self._out.data), bytes(self._err.data), self._cut_off)

    def _reap(self) -> int:
        """Its exit status; -SIGKILL for a process that somebody else reaped, or that is given up."""
        try:
            found, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self._cut_off = self._cut_off or LOST
            found = 0
        return os.waitstatus_to_exitcode(status) if found else -SIGKILL


def _pipe() -> tuple[int, int]:
    """A pipe whose ends have numbers above those that a program gets."""
    ends = os.pipe2(os.O_CLOEXEC)
    high: list[int] = []
    try:
        for end in ends:
            high.append(fcntl(end, F_DUPFD_CLOEXEC, _ABOVE_STANDARD))
    except BaseException:
        for end in high:
            os.close(end)
        raise
    finally:
        for end in ends:
            os.close(end)
    return high[0], high[1]


def _spawn(command: Command, streams: tuple[int, int, int]) -> int:
    """Starts the program in a group of its own, with the dispositions of signals that programs expect."""
    actions: list[tuple[int, int] | tuple[int, int, int]] = [
        (os.POSIX_SPAWN_DUP2, ours, number) for number, ours in enumerate(streams)
    ]
    raised: list[int] = []
    try:
        for ours, number in command.descriptors:
            raised.append(fcntl(ours, F_DUPFD_CLOEXEC, _ABOVE_STANDARD))
            actions.append((os.POSIX_SPAWN_DUP2, raised[-1], number))
        kept = {number for _, number in command.descriptors}
        actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable() if fd > 2 and fd not in kept]
        return os.posix_spawn(
            command.argv[0],
            command.argv,
            command.environment,
            file_actions=actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
        )
    finally:
        for descriptor in raised:
            os.close(descriptor)


def _inheritable() -> list[int]:
    """The open descriptors that a program started now would get unasked."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:  # the listing's own
            continue
    return found
