"""Entries of a log file, and the parser that makes them from the file's bytes as they come."""

from __future__ import annotations

from carob.logs.format import STDERR, STDOUT, parse_line

MALFORMED = "malformed"
"""The ``stream`` of an entry for a line that is not of the log format."""

STREAMS = (STDOUT, STDERR, MALFORMED)
"""Everything an entry's ``stream`` can be."""

LONGEST_LINE_BYTES = 16 * 1024 * 1024
"""What has no newline within this many bytes is not a log: it is given out as malformed, in pieces."""


class LogEntry:
    """One line of a log file.

    ``time_ns`` is in nanoseconds since 1970; ``stream`` is ``stdout``, ``stderr`` or ``malformed``.
    ``data`` is what the app wrote, ``partial`` says that no newline of the app's followed it.
    ``dropped_bytes``, where not 0, were lost at this place of the stream.
    A malformed line has the time of the entry before it (0: there was none) and the whole line as ``data``.
    """

    __slots__ = ("data", "dropped_bytes", "partial", "stream", "time_ns")

    def __init__(self, time_ns: int, stream: str, partial: bool, data: bytes, dropped_bytes: int = 0) -> None:
        self.time_ns = time_ns
        self.stream = stream
        self.partial = partial
        self.data = data
        self.dropped_bytes = dropped_bytes

    @property
    def output(self) -> bytes:
        """Exactly what the app wrote: the data and, unless partial, its newline. Nothing if malformed."""
        if self.stream == MALFORMED:
            return b""
        return self.data if self.partial else self.data + b"\n"

    def _key(self) -> tuple[int, str, bool, bytes, int]:
        return self.time_ns, self.stream, self.partial, self.data, self.dropped_bytes

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, LogEntry) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        lost = f", dropped_bytes={self.dropped_bytes}" if self.dropped_bytes else ""
        return f"LogEntry({self.time_ns}, {self.stream!r}, partial={self.partial}, data={self.data!r}{lost})"


class EntryParser:
    """Makes entries from a log file's bytes, in chunks of any size, one line at a time.

    A line whose newline has not come yet is kept until it comes.
    """

    __slots__ = ("_dropped_bytes", "_head", "_partial", "_rest", "_stream", "_time_ns")

    def __init__(self) -> None:
        self._rest = b""
        # What was read before the data of the last good line. All lines that came from one read of the app's
        # output begin alike: to compare is several times faster than to parse.
        self._head = b"\n"  # no line begins with it
        self._time_ns = 0
        self._stream = ""
        self._partial = False
        self._dropped_bytes = 0

    def feed(self, chunk: bytes) -> list[LogEntry]:
        """The entries that are complete with this chunk."""
        rest = self._rest + chunk
        end = rest.rfind(b"\n")
        if end < 0:
            self._rest = rest
            return self.finish() if len(rest) > LONGEST_LINE_BYTES else []
        self._rest = rest[end + 1 :]
        return [self._entry(line) for line in rest[:end].split(b"\n")]

    def finish(self) -> list[LogEntry]:
        """What is kept, when no more will come: a line cut by a crash, by a full disk or by reading too soon.

        Whether the app wrote a newline after it is not known, so its entry is partial.
        """
        rest, self._rest = self._rest, b""
        if not rest:
            return []
        entry = self._entry(rest)
        entry.partial = True
        return [entry]

    def _entry(self, line: bytes) -> LogEntry:
        if line.startswith(self._head):
            data = line[len(self._head) :]
        else:
            parsed = parse_line(line)
            if parsed is None:
                return LogEntry(self._time_ns, MALFORMED, False, line)
            self._time_ns, self._stream, self._partial, data, self._dropped_bytes = parsed
            self._head = line[: len(line) - len(data)]
        return LogEntry(self._time_ns, self._stream, self._partial, data, self._dropped_bytes)
