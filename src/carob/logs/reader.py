"""Reading a log that is there: all of it, from a time on, up to a time, or its last lines."""

from __future__ import annotations

from carob.errors import Unavailable
from carob.logs.cursor import Cursor
from carob.logs.entry import STREAMS, LogEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator


def read_entries(
    dir_fd: int,
    name: str,
    *,
    streams: Container[str] = STREAMS,
    since_ns: int = 0,
    until_ns: int | None = None,
    tail: int | None = None,
) -> Iterator[LogEntry]:
    """The entries of the log ``name`` in the directory ``dir_fd``, oldest first, up to its end now.

    With what was rotated away and is still there. ``streams`` chooses among ``stdout``, ``stderr`` and
    ``malformed``; ``since_ns`` and ``until_ns`` (which is the first not to be had) are times in nanoseconds
    since 1970; ``tail`` is a number of the app's lines from the end (all pieces of a line count as one), of
    which those then choose. A file is open while the iterator is in use.
    Raises ``NotFound``, ``PermissionDenied``, ``Unavailable`` when iteration begins, the last later as well.
    """
    cursor = Cursor(dir_fd, name, tail, streams)
    everything = streams is STREAMS and since_ns <= 0 and until_ns is None
    try:
        try:
            entries: list[LogEntry] | None = cursor.open()
        except OSError as error:
            raise Unavailable(f"cannot read the log {name}: {error.strerror}") from error
        while entries is not None:
            yield from entries if everything else _chosen(entries, streams, since_ns, until_ns)
            entries = cursor.read()
        yield from _chosen(cursor.finish(), streams, since_ns, until_ns)
    finally:
        cursor.close()


def _chosen(
    entries: Iterable[LogEntry], streams: Container[str], since_ns: int, until_ns: int | None
) -> list[LogEntry]:
    return [
        entry
        for entry in entries
        if entry.stream in streams
        and entry.time_ns >= since_ns
        and (until_ns is None or entry.time_ns < until_ns)
    ]


def output(entries: Iterable[LogEntry]) -> bytes:
    """Exactly the bytes the app wrote. Entries of both streams give them in the order they came in."""
    return b"".join([entry.output for entry in entries])


def text(entries: Iterable[LogEntry], *, encoding: str = "utf-8", errors: str = "replace") -> str:
    """What the app wrote as text; ``errors`` is as for ``bytes.decode``."""
    return output(entries).decode(encoding, errors)
