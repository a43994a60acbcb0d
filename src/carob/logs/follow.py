"""Following the log files of a pod's apps as they grow: one thread for all of them."""

from __future__ import annotations

from carob.logs.cursor import Cursor
from carob.logs.entry import STREAMS, LogEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping

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
    until_ns: int | None = None,
    tail: int | None = None,
) -> Iterator[tuple[str, LogEntry]]:
    """Yields (name, entry) from the log files ``names`` in the directory ``dir_fd`` as they grow.

    Entries of one file come in their order and none is left out; those of different files are merged by
    time, as far as they are there at the same look. ``streams``, ``since_ns``, ``until_ns`` and ``tail`` (for
    each file) as for ``read_entries``. A file that is not there yet is waited for.

    ``ended()`` says that nothing more will be written; all that was written before is still yielded, then
    the iterator ends. ``wait(timeout_s)`` returns soon after one of the files changed or ``ended()`` became
    true, or after the time; it must have been watching from before this call, so that what changes between a
    look and the wait ends the wait: ``carob.logs.LogWatch`` does.

    A file replaced by another of its name (rotation) is read to its end, then those that came after it, each
    from its start, as long as they are there; one that became shorter is read from its start. Raises
    ``PermissionDenied`` or ``Unavailable`` where a file cannot be read.
    """
    for found in looks(
        dir_fd, names, ended, streams=streams, since_ns=since_ns, until_ns=until_ns, tail=tail
    ):
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
    until_ns: int | None = None,
    tail: int | None = None,
    elsewhere: Mapping[str, tuple[int, str]] | None = None,
) -> Generator[tuple[str, LogEntry] | None, None, None]:
    """``follow`` for callers that wait in a way of their own: yields ``None`` where it would wait.

    ``elsewhere`` has, for some of the names, another directory and the file's name in it.
    """
    places = elsewhere or {}
    merged = _Merged([Cursor(*places.get(name, (dir_fd, name)), tail, streams, label=name) for name in names])
    everything = streams is STREAMS and since_ns <= 0 and until_ns is None

    def is_chosen(entry: LogEntry) -> bool:
        return (
            entry.time_ns >= since_ns
            and (until_ns is None or entry.time_ns < until_ns)
            and entry.stream in streams
        )

    try:
        while True:
            over = ended()  # asked before the look: whatever was written before the end is then seen by it
            while (found := merged.look()) is not None:
                if everything:
                    yield from found
                else:
                    yield from [one for one in found if is_chosen(one[1])]
            if over:
                break
            yield None
        yield from [one for one in merged.finish() if is_chosen(one[1])]
    finally:
        merged.close()


class _Merged:
    """Several logs as one, by time. Of a log whose end is not reached yet some entries are kept back: where
    those of another are later, more of the first may belong before them.
    """

    __slots__ = ("_cursors", "_kept", "_last_ns")

    def __init__(self, cursors: list[Cursor]) -> None:
        self._cursors = cursors
        self._kept: list[list[tuple[int, str, LogEntry]]] = [[] for _ in cursors]
        # Times that do not go back: the order within one log is the app's, whatever the clock did meanwhile.
        self._last_ns = [0] * len(cursors)

    def look(self) -> Iterable[tuple[str, LogEntry]] | None:
        """What can be told now; ``None`` where nothing new is there."""
        if len(self._cursors) == 1:
            entries = self._cursors[0].read()
            name = self._cursors[0].label
            return None if entries is None else [(name, entry) for entry in entries]
        horizon_ns = None
        anything = False
        for at, kept in enumerate(self._kept):
            more = True
            while more and not kept:
                more = self._read(at)
                anything = anything or more
            if more and (horizon_ns is None or kept[-1][0] < horizon_ns):
                horizon_ns = kept[-1][0]
        if not anything and not any(self._kept):
            return None
        from heapq import merge

        told = [self._up_to(at, horizon_ns) for at in range(len(self._kept))]
        return [(name, entry) for _, name, entry in merge(*told, key=lambda one: one[0])]

    def _read(self, at: int) -> bool:
        """Reads on in one log; False where that has nothing new."""
        cursor, last_ns = self._cursors[at], self._last_ns[at]
        entries = cursor.read()
        for entry in entries or ():
            last_ns = max(last_ns, entry.time_ns)
            self._kept[at].append((last_ns, cursor.label, entry))
        self._last_ns[at] = last_ns
        return entries is not None

    def _up_to(self, at: int, horizon_ns: int | None) -> list[tuple[int, str, LogEntry]]:
        kept = self._kept[at]
        count = len(kept)
        if horizon_ns is not None and kept and kept[-1][0] > horizon_ns:
            count = next(number for number, one in enumerate(kept) if one[0] > horizon_ns)
        self._kept[at] = kept[count:]
        return kept[:count]

    def finish(self) -> list[tuple[str, LogEntry]]:
        """The entries of last lines that were never ended."""
        return [(cursor.label, entry) for cursor in self._cursors for entry in cursor.finish()]

    def close(self) -> None:
        """Closes the files."""
        for cursor in self._cursors:
            cursor.close()
