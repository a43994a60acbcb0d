"""Reading one log from where it begins, or from its last lines, through all of its files."""

from __future__ import annotations

import os

from carob.errors import NotFound, Unavailable
from carob.logs import files
from carob.logs.entry import EntryParser, LogEntry
from carob.logs.tail import last_entries, line_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

CHUNK_BYTES = 256 * 1024


class Cursor:
    """One log and how far it was read. ``tail`` is as for ``read_entries``, of these ``streams``.

    ``label`` is what the log is called for others, by default its ``name`` in the directory.
    """

    __slots__ = ("_dir_fd", "_fd", "_identity", "_offset", "_parser", "_streams", "_tail", "label", "name")

    def __init__(
        self, dir_fd: int, name: str, tail: int | None, streams: Container[str], label: str = ""
    ) -> None:
        self.name = name
        self.label = label or name
        self._dir_fd = dir_fd
        self._tail = tail
        self._streams = streams
        self._fd = -1
        self._identity: files.Identity = (0, 0)
        self._offset = 0
        self._parser = EntryParser()

    def open(self) -> list[LogEntry]:
        """Begins, with the last lines where those are asked for. Raises as ``files.open_log`` does."""
        if self._tail is None:
            self._take(files.open_first(self._dir_fd, self.name))
            return []
        self._take(files.open_last(self._dir_fd, self.name))
        lines, self._tail = self._tail, None
        self._offset = line_end(self._fd, os.fstat(self._fd).st_size)
        before = files.older(self._dir_fd, self.name, self._identity)
        try:
            return last_entries(self._fd, self._offset, lines, self._streams, before)
        finally:
            before.close()

    def read(self) -> list[LogEntry] | None:
        """The next entries; an empty list where only a part of a line came, ``None`` where nothing did.

        A log that is not there yet gives nothing.
        """
        try:
            if self._fd < 0:
                return self._begin()
            entries = self._read_on()
            return self._renewed() if entries is None else entries
        except OSError as error:
            raise Unavailable(f"cannot read the log {self.name}: {error.strerror}") from error

    def finish(self) -> list[LogEntry]:
        """The entry of a last line that was never ended."""
        return self._parser.finish()

    def close(self) -> None:
        """Closes the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _begin(self) -> list[LogEntry] | None:
        try:
            return self.open()
        except NotFound:
            self._tail = None  # what comes into being from now on is new, however much it is at the next look
            return None

    def _take(self, fd: int) -> None:
        self.close()
        self._fd = fd
        self._identity = files.identity_of(fd)
        self._offset = 0

    def _read_on(self) -> list[LogEntry] | None:
        chunk = os.pread(self._fd, CHUNK_BYTES, self._offset)
        if not chunk:
            return None
        self._offset += len(chunk)
        return self._parser.feed(chunk)

    def _renewed(self) -> list[LogEntry] | None:
        """At the end of the file: looks whether it was cut short, or is not the last one any more."""
        try:
            following = files.open_next(self._dir_fd, self.name, self._identity)
        except NotFound:
            return None
        if following is None:
            if os.fstat(self._fd).st_size >= self._offset:
                return None
            self._offset = 0
            return self._parser.finish()
        # Nothing is written to this file once there is another; what came before is still read.
        try:
            entries = self._read_on()
        except BaseException:
            os.close(following)
            raise
        if entries is not None:
            os.close(following)
            return entries
        self._take(following)
        return self._parser.finish()
