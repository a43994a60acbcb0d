"""Following the log files of a pod's apps as they grow: one thread for all of them."""

from __future__ import annotations

import os

from carob.errors import NotFound, Unavailable
from carob.logs.entry import STREAMS, EntryParser, LogEntry
from carob.logs.reader import CHUNK_BYTES, last_entries, line_end, open_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator, Iterable, Iterator

LOOK_AGAIN_S = 1.0
"""Events are hints: after this time without one the files are looked at all the same."""


def follow(
    dir_fd: int,
    names: Iterable[str],
    ended: Callable[[], bool],
    wait: Callable[[float], object],
    *,
    streams: Container[str] = STREAMS,
    since_ns: int = 0,
    tail: int | None = None,
) -> Iterator[tuple[str, LogEntry]]:
    """Yields (name, entry) from the log files ``names`` in the directory ``dir_fd`` as they grow.

    Entries of one file come in their order and none is left out; those of different files that were found
    at the same look are merged by time. ``streams``, ``since_ns`` and ``tail`` (for each file) as for
    ``read_entries``. A file that is not there yet is waited for.

    ``ended()`` says that nothing more will be written; all that was written before is still yielded, then
    the iterator ends. ``wait(timeout_s)`` returns soon after one of the files changed or ``ended()`` became
    true, or after the time; it must have been watching from before this call, so that what changes between a
    look and the wait ends the wait: ``carob.logs.LogWatch`` does.

    A file replaced by another of its name (rotation) is read to its end, then the new one from its start;
    one that became shorter is read from its start. Two such changes between two looks cannot be told from
    one. Raises ``PermissionDenied`` or ``Unavailable`` where a file cannot be read.
    """
    for found in looks(dir_fd, names, ended, streams=streams, since_ns=since_ns, tail=tail):
        if found is None:
            wait(LOOK_AGAIN_S)
        else:
            yield found


def looks(
    dir_fd: int,
    names: Iterable[str],
    ended: Callable[[], bool],
    *,
    streams: Container[str] = STREAMS,
    since_ns: int = 0,
    tail: int | None = None,
) -> Generator[tuple[str, LogEntry] | None, None, None]:
    """``follow`` for callers that wait in a way of their own: yields ``None`` where it would wait."""
    everything = streams is STREAMS and since_ns <= 0
    files = [_FollowedFile(dir_fd, name, tail, streams) for name in names]
    try:
        while True:
            over = ended()  # asked before the look: whatever was written before the end is then seen by it
            while (found := _look(files)) is not None:
                if everything:
                    yield from found
                    continue
                for name, entry in found:
                    if entry.time_ns >= since_ns and entry.stream in streams:
                        yield name, entry
            if over:
                break
            yield None
        for file in files:
            for entry in file.finish():
                if entry.time_ns >= since_ns and entry.stream in streams:
                    yield file.name, entry
    finally:
        for file in files:
            file.close()


def _look(files: list[_FollowedFile]) -> Iterable[tuple[str, LogEntry]] | None:
    """What one read of each file gave; ``None`` if none had anything new."""
    anything = False
    batches: list[list[tuple[str, LogEntry]]] = []
    for file in files:
        entries = file.read()
        anything = anything or entries is not None
        if entries:
            batches.append([(file.name, entry) for entry in entries])
    if not anything:
        return None
    if len(batches) < 2:
        return batches[0] if batches else []
    from heapq import merge

    # Not a sort: the order within one file is the app's, whatever the clock did meanwhile.
    return merge(*batches, key=lambda pair: pair[1].time_ns)


class _FollowedFile:
    """One log file and how far it was read."""

    __slots__ = ("_dir_fd", "_fd", "_identity", "_offset", "_parser", "_streams", "_tail", "name")

    def __init__(self, dir_fd: int, name: str, tail: int | None, streams: Container[str]) -> None:
        self.name = name
        self._dir_fd = dir_fd
        self._tail = tail
        self._streams = streams
        self._fd = -1
        self._identity = (0, 0)
        self._offset = 0
        self._parser = EntryParser()

    def read(self) -> list[LogEntry] | None:
        """The next entries; an empty list where only a part of a line came, ``None`` where nothing did."""
        try:
            if self._fd < 0:
                return self._open()
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

    def _open(self) -> list[LogEntry] | None:
        try:
            self._fd = open_log(self._dir_fd, self.name)
        except NotFound:
            self._tail = None  # what comes into being from now on is new, however much it is at the next look
            return None
        status = os.fstat(self._fd)
        self._identity = (status.st_dev, status.st_ino)
        self._offset = 0
        if self._tail is None:
            return []
        lines, self._tail = self._tail, None
        self._offset = line_end(self._fd, status.st_size)
        return last_entries(self._fd, self._offset, lines, self._streams)

    def _read_on(self) -> list[LogEntry] | None:
        chunk = os.pread(self._fd, CHUNK_BYTES, self._offset)
        if not chunk:
            return None
        self._offset += len(chunk)
        return self._parser.feed(chunk)

    def _renewed(self) -> list[LogEntry] | None:
        """At the end of the file: looks whether it was cut short or another took its name."""
        try:
            status = os.stat(self.name, dir_fd=self._dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if (status.st_dev, status.st_ino) != self._identity:
            # Nothing is written to the old file once the new one is there; what came before is still read.
            entries = self._read_on()
            if entries is None:
                entries = self._parser.finish()
                self.close()
            return entries
        if status.st_size < self._offset:
            self._offset = 0
            return self._parser.finish()
        return None
