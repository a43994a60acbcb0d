"""The last lines of a log, read backwards."""

from __future__ import annotations

import os

from carob.logs.entry import MALFORMED, STREAMS, EntryParser, LogEntry
from carob.logs.format import parse_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

CHUNK_BYTES = 256 * 1024
LOOK_BACK_BYTES = 1024 * 1024
"""How far before the last lines the earlier pieces of one of them are looked for."""


def line_end(fd: int, size_bytes: int) -> int:
    """The offset after the last newline within the first ``size_bytes`` of a file; 0 if there is none."""
    end = size_bytes
    while end > 0:
        start = max(0, end - CHUNK_BYTES)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def last_entries(
    fd: int, end: int, lines: int, streams: Container[str] = STREAMS, older: Iterable[int] = ()
) -> list[LogEntry]:
    """The entries of the app's last ``lines`` lines before the offset ``end``, where a line of the log ends.

    ``older`` are the files before this one, the youngest first. A line is all its pieces, between which
    entries of the other stream may stand. Reads backwards, and no further than it must; of a line with pieces
    more than 1 MiB further back only the later ones are found.
    """
    chosen: list[bytes] = []
    seen: set[str] = set()  # streams met so far, going backwards
    begun: set[str] = set()  # streams of whose last chosen line there may be earlier pieces
    taken = looked_back_bytes = 0
    for line in _all_backwards(fd, end, older) if lines > 0 else ():
        parsed = parse_line(line)
        stream = MALFORMED if parsed is None else parsed[1]
        if taken == lines:
            looked_back_bytes += len(line) + 1
            if not begun or looked_back_bytes > LOOK_BACK_BYTES:
                break
        if stream not in streams:
            continue
        ends_line = parsed is None or not parsed[2] or stream not in seen
        seen.add(stream)
        if ends_line and taken == lines:
            begun.discard(stream)
            continue
        if ends_line:
            taken += 1
            begun.add(stream)
        elif stream not in begun:
            continue
        chosen.append(line)
    chosen.reverse()
    return EntryParser().feed(b"".join([line + b"\n" for line in chosen])) if chosen else []


def _all_backwards(fd: int, end: int, older: Iterable[int]) -> Iterator[bytes]:
    yield from _backwards(fd, end)
    for before in older:
        size_bytes = os.fstat(before).st_size
        whole = line_end(before, size_bytes)
        if whole < size_bytes:  # cut by a crash
            yield os.pread(before, size_bytes - whole, whole)
        yield from _backwards(before, whole)


def _backwards(fd: int, end: int) -> Iterator[bytes]:
    """The lines before the offset ``end``, where one ends, last first and without their newlines."""
    rest = b""
    end -= 1
    while end > 0:
        start = max(0, end - CHUNK_BYTES)
        first, *others = (os.pread(fd, end - start, start) + rest).split(b"\n")
        others.reverse()
        yield from others
        rest, end = first, start
    if end == 0:
        yield rest
