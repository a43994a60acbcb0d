"""Reading a log file that is there: all of it, from a time on, or its last lines."""

from __future__ import annotations

import os

from carob.errors import NotFound, PermissionDenied, Unavailable
from carob.logs.entry import MALFORMED, STREAMS, EntryParser, LogEntry
from carob.logs.format import parse_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

CHUNK_BYTES = 256 * 1024
LOOK_BACK_BYTES = 1024 * 1024
"""How far before the last lines the earlier pieces of one of them are looked for."""


def read_entries(
    dir_fd: int,
    name: str,
    *,
    streams: Container[str] = STREAMS,
    since_ns: int = 0,
    tail: int | None = None,
) -> Iterator[LogEntry]:
    """The entries of the log file ``name`` in the directory ``dir_fd``, oldest first, up to its end now.

    ``streams`` chooses among ``stdout``, ``stderr`` and ``malformed``; ``since_ns`` is a time in nanoseconds
    since 1970; ``tail`` is a number of the app's lines from the end (all pieces of a line count as one), of
    which ``since_ns`` then chooses. The file is open while the iterator is in use.
    Raises ``NotFound``, ``PermissionDenied``, ``Unavailable`` when iteration begins, the last later as well.
    """
    fd = open_log(dir_fd, name)
    try:
        offset = 0
        if tail is not None:
            offset = line_end(fd, os.fstat(fd).st_size)
            yield from _since(last_entries(fd, offset, tail, streams), since_ns)
        parser = EntryParser()
        while chunk := os.pread(fd, CHUNK_BYTES, offset):
            offset += len(chunk)
            yield from _since(_of(parser.feed(chunk), streams), since_ns)
        yield from _since(_of(parser.finish(), streams), since_ns)
    except OSError as error:
        raise Unavailable(f"cannot read the log {name}: {error.strerror}") from error
    finally:
        os.close(fd)


def output(entries: Iterable[LogEntry]) -> bytes:
    """Exactly the bytes the app wrote. Entries of both streams give them in the order they came in."""
    return b"".join([entry.output for entry in entries])


def text(entries: Iterable[LogEntry], *, encoding: str = "utf-8", errors: str = "replace") -> str:
    """What the app wrote as text; ``errors`` is as for ``bytes.decode``."""
    return output(entries).decode(encoding, errors)


def open_log(dir_fd: int, name: str) -> int:
    """Opens a log file for reading, never through a link.

    Raises ``NotFound``, ``PermissionDenied``, ``Unavailable``.
    """
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=dir_fd)
    except FileNotFoundError as error:
        raise NotFound(f"there is no log {name}", hint="An app has one once it was started.") from error
    except PermissionError as error:
        raise PermissionDenied(f"this user may not read the log {name}") from error
    except OSError as error:
        raise Unavailable(f"cannot open the log {name}: {error.strerror}") from error


def _since(entries: Iterable[LogEntry], since_ns: int) -> Iterable[LogEntry]:
    return entries if since_ns <= 0 else [entry for entry in entries if entry.time_ns >= since_ns]


def _of(entries: list[LogEntry], streams: Container[str]) -> list[LogEntry]:
    return entries if streams is STREAMS else [entry for entry in entries if entry.stream in streams]


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


def last_entries(fd: int, end: int, lines: int, streams: Container[str] = STREAMS) -> list[LogEntry]:
    """The entries of the app's last ``lines`` lines before the offset ``end``, where a line of the log ends.

    A line is all its pieces, between which entries of the other stream may stand. Reads backwards, and no
    further than it must; of a line with pieces more than 1 MiB further back only the later ones are found.
    """
    chosen: list[bytes] = []
    seen: set[str] = set()  # streams met so far, going backwards
    begun: set[str] = set()  # streams of whose last chosen line there may be earlier pieces
    taken = looked_back_bytes = 0
    for line in _backwards(fd, end) if lines > 0 else ():
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
