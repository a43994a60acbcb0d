"""Log files of bounded size, inside the pod's init: a full one is put aside, and the oldest are deleted.

A rotation is some quick calls on a directory, made between two writes; there is never an fsync, and nothing
waits. Where it cannot be made (a full disk) the log goes on growing, and the next write tries again. A line
of the log is never split between files. Killed at any point, init leaves all that was written: at worst
nothing under the log's own name, which readers know of, or a hidden empty file, which is used again.
"""

from __future__ import annotations

import os
import time

from carob.logs.names import rotated
from carob.logs.writer import FLAGS, MODE, LogWriter

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PARTS = 16
_HEAD_BYTES = 40  # what the format puts before each line; of an empty line that is nearly all


class RotatingWriter(LogWriter):
    """Writes files of about ``max_bytes`` each: one that has reached it gets no more. ``max_files`` at most.

    Here the file is this object's own: it closes the one that it puts aside.
    """

    __slots__ = ("_dir_fd", "_last", "_max_bytes", "_max_files", "_path", "_piece_bytes", "_size_bytes")

    def __init__(self, fd: int, path: str, dir_fd: int, *, max_bytes: int, max_files: int) -> None:
        super().__init__(fd)
        self._path = path
        self._dir_fd = dir_fd
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._piece_bytes = max_bytes // _PARTS
        self._size_bytes = os.fstat(fd).st_size
        self._last = self._newest()

    def _newest(self) -> str:
        """What the newest rotated file has after the log's name; ``""`` where there is none."""
        directory, _, name = self._path.rpartition("/")
        fd = os.open(directory, _DIRECTORY, dir_fd=self._dir_fd)
        try:
            names = rotated(fd, name)
        finally:
            os.close(fd)
        return names[-1][len(name) + 1 :] if names else ""

    def feed(self, stream: str, data: bytes) -> None:
        """Appends what one read of the app's ``stdout`` or ``stderr`` gave. Raises nothing."""
        while data:
            if self._size_bytes >= self._max_bytes and self.is_whole:
                self._rotate()
            end = self._cut(data)
            super().feed(stream, data[:end])
            data = data[end:]

    def _cut(self, data: bytes) -> int:
        """How much of it is written at once: a small part of a file, so that none gets much too long.

        Lines are cut only where one is longer than that.
        """
        encoded_bytes = len(data) + _HEAD_BYTES * data.count(b"\n")
        if encoded_bytes <= self._piece_bytes:
            return len(data)
        end = len(data) * self._piece_bytes // encoded_bytes or 1
        return data.rfind(b"\n", 0, end) + 1 or end

    def _write(self, lines: bytes) -> int:
        written = super()._write(lines)
        self._size_bytes += written
        return written

    def _rotate(self) -> None:
        directory, _, name = self._path.rpartition("/")
        fresh = f"{directory}/.{name}.new"
        try:
            fd = os.open(fresh, FLAGS | os.O_TRUNC, MODE, dir_fd=self._dir_fd)
        except OSError:
            return
        try:
            if self._max_files > 1:
                self._rename(self._path, self._aside())
            self._rename(fresh, self._path)
        except OSError:
            os.close(fd)
            return
        os.close(self.fd)
        self.fd, self._size_bytes = fd, 0
        self._delete_oldest(directory, name)

    def _rename(self, source: str, target: str) -> None:
        os.rename(source, target, src_dir_fd=self._dir_fd, dst_dir_fd=self._dir_fd)

    def _aside(self) -> str:
        """A name that sorts after all that were given before, also where the clock was set back."""
        stamp, number = time.strftime("%Y%m%d-%H%M%S", time.gmtime()), 0
        last, _, last_number = self._last.partition(".")
        if stamp <= last:
            stamp, number = last, int(last_number or 0) + 1
        self._last = f"{stamp}.{number:06d}" if number else stamp
        return f"{self._path}.{self._last}"

    def _delete_oldest(self, directory: str, name: str) -> None:
        try:
            fd = os.open(directory, _DIRECTORY, dir_fd=self._dir_fd)
        except OSError:
            return
        try:
            names = rotated(fd, name)
            for oldest in names[: max(0, len(names) - self._max_files + 1)]:
                os.unlink(oldest, dir_fd=fd)
        except OSError:
            return
        finally:
            os.close(fd)
