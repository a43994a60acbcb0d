"""From entries of logs to entries of a journal: whole lines, with the fields that journalctl chooses by."""

from __future__ import annotations

from carob.logs.entry import MALFORMED
from carob.logs.format import STDERR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from carob.logs.entry import LogEntry
    from carob.logs.journal.file import JournalFile

_LONGEST_BYTES = 48 * 1024
"""journald, too, cuts longer lines (``LineMax=``)."""


class JournalEntries:
    """Puts the pieces of lines together and adds each line to a journal.

    ``epoch_us`` is what the monotonic clock began at, in microseconds since 1970.
    """

    def __init__(
        self, file: JournalFile, *, pod: str, hostname: str, machine_id: str, boot_id: str, epoch_us: int
    ) -> None:
        self._file = file
        self._epoch_us = epoch_us
        self._last_us = epoch_us
        self._pending: dict[tuple[str, str], list[bytes]] = {}
        self._same = [
            f"CAROB_POD={pod}".encode(),
            f"_HOSTNAME={hostname}".encode(),
            f"_MACHINE_ID={machine_id}".encode(),
            f"_BOOT_ID={boot_id}".encode(),
            b"_TRANSPORT=stdout",
        ]

    def add(self, entries: Iterable[tuple[str, LogEntry]]) -> None:
        """Takes (app, entry) pairs; a line whose end has not come is kept. Raises ``OSError``."""
        for app, entry in entries:
            if entry.stream == MALFORMED:
                continue
            key = (app, entry.stream)
            pieces = self._pending.setdefault(key, [])
            pieces.append(entry.data)
            if not entry.partial or sum(map(len, pieces)) >= _LONGEST_BYTES:
                self._last_us = max(self._last_us, entry.time_ns // 1000)
                self._write(key)

    def finish(self) -> None:
        """Adds what never was ended."""
        for key, pieces in list(self._pending.items()):
            if any(pieces):
                self._write(key)

    def _write(self, key: tuple[str, str]) -> None:
        app, stream = key
        fields = [
            b"MESSAGE=" + b"".join(self._pending.pop(key)),
            b"PRIORITY=3" if stream == STDERR else b"PRIORITY=6",
            b"SYSLOG_IDENTIFIER=" + app.encode(),
            b"CAROB_STREAM=" + stream.encode(),
            *self._same,
        ]
        self._file.append(fields, self._last_us, self._last_us - self._epoch_us)
