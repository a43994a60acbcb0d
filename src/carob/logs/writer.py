"""Writing a log file, inside the pod's init: nothing is kept back, and no error gets out.

What an app wrote is in the file when ``feed`` returns, one write(2) a call and never an fsync. An end
without a newline is written at once as a ``P`` line, as conmon does and containerd does not: a prompt is
seen as it appears, and nothing is lost with an init that is killed, because nothing pends in it. The
price is that a line which came in several reads takes several lines of the log.

A disk that is full, or broken, must stop neither init nor the app: what cannot be written is dropped and
counted, and marked in the log as soon as something can be written again.
"""

from __future__ import annotations

import os
import time
from stat import S_ISREG

from carob.logs.format import encode, encode_dropped, parse_line

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
MODE = 0o640
_EINVAL = 22


def open_writer(path: str, dir_fd: int, limits: dict[str, int] | None) -> LogWriter:
    """A writer of the log at ``path`` below ``dir_fd``; ``limits`` are the launch plan's, ``None`` for none.

    It keeps ``dir_fd``, which stays the caller's. Raises ``OSError``, also for what is no regular file, and
    waits for nobody: neither for a reader of a pipe nor for who holds a lease.
    """
    fd = os.open(path, FLAGS, MODE, dir_fd=dir_fd)
    if not S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(_EINVAL, "it is not a regular file", path)
    if limits is None:
        return LogWriter(fd)
    from carob.logs.rotation import RotatingWriter

    return RotatingWriter(fd, path, dir_fd, max_bytes=limits["max_bytes"], max_files=limits["max_files"])


def load_rotation() -> None:
    """Loads what ``open_writer`` needs for limits, for who calls it when nothing can be loaded any more."""
    import carob.logs.rotation  # noqa: F401 - it is there from now on


class LogWriter:
    """Writes one app's log file. Not for several threads or several writers of one file.

    ``fd`` is the file, open for appending (``O_APPEND``); the caller keeps it and closes it.
    ``dropped_bytes`` counts the app's bytes that could not be written, ``last_errno`` is why (0: never).
    """

    __slots__ = ("_torn", "_unmarked", "dropped_bytes", "fd", "last_errno")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.dropped_bytes = 0
        self.last_errno = 0
        self._torn = b""  # the rest of a line whose beginning is in the file: at most one line
        self._unmarked: dict[str, int] = {}  # bytes dropped since the last mark, by stream

    @property
    def is_whole(self) -> bool:
        """Whether the file ends where a line does, and nothing is to be marked in it."""
        return not self._torn and not self._unmarked

    def feed(self, stream: str, data: bytes) -> None:
        """Appends what one read of the app's ``stdout`` or ``stderr`` gave. Raises nothing."""
        if (self._torn or self._unmarked) and not self._settle():
            self._drop(stream, len(data))
            return
        lines = encode(stream, data, time.time_ns())
        written = self._write(lines)
        if written == 0:
            self._drop(stream, len(data))
        elif written < len(lines):
            self._tear(stream, lines, written)

    def finish(self, stream: str) -> None:
        """The stream has ended. Its bytes are in the file already; a loss not yet marked is marked now."""
        if self._torn or stream in self._unmarked:
            self._settle()

    def _write(self, lines: bytes) -> int:
        """Writes as much as can be written; the number of bytes that were."""
        written = 0
        try:
            count = written = os.write(self.fd, lines)
            while count and written < len(lines):  # a short count: the next attempt goes on, or says why not
                count = os.write(self.fd, lines[written:])
                written += count
        except OSError as error:
            self.last_errno = error.errno or 0
        return written

    def _tear(self, stream: str, lines: bytes, written: int) -> None:
        """Keeps the rest of the line that was cut, and drops the lines after it."""
        end = written
        if lines[written - 1 : written] != b"\n":
            end = lines.index(b"\n", written) + 1
            self._torn = lines[written:end]
        lost = 0
        for line in lines[end:].split(b"\n")[:-1]:
            parsed = parse_line(line)
            if parsed is not None:
                _, _, partial, data, _ = parsed
                lost += len(data) + (not partial)
        self._drop(stream, lost)

    def _drop(self, stream: str, size_bytes: int) -> None:
        if size_bytes:
            self.dropped_bytes += size_bytes
            self._unmarked[stream] = self._unmarked.get(stream, 0) + size_bytes

    def _settle(self) -> bool:
        """Ends the cut line and marks what was dropped; says whether the file can be written again."""
        if self._torn:
            self._torn = self._torn[self._write(self._torn) :]
            if self._torn:
                return False
        for stream, size_bytes in list(self._unmarked.items()):
            mark = encode_dropped(stream, size_bytes, time.time_ns())
            written = self._write(mark)
            if written == 0:
                return False
            del self._unmarked[stream]
            self._torn = mark[written:]
            if self._torn:
                return False
        return True
