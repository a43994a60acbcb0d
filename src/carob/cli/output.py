"""Data on standard output, words on standard error.

Both are written through their descriptors: exact bytes, nothing left in a buffer at the end. carob's
output has no colours, with or without NO_COLOR.
"""

from __future__ import annotations

import os
import time
from stat import S_ISCHR

from carob.errors import CarobError, OutOfResources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

STDOUT = 1
STDERR = 2
_EIO = 5


def guard_standard_streams() -> None:
    """Fills the places of standard streams that are closed, so that no file of carob's gets their number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open("/dev/null", os.O_WRONLY if descriptor == 0 else os.O_RDONLY)


def write_bytes(data: bytes, descriptor: int = STDOUT) -> None:
    """Writes all of it. ``BrokenPipeError`` where nobody reads any more, ``OutOfResources`` for the rest."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            _wait_writable(descriptor)
        except BrokenPipeError:
            raise
        except OSError as error:
            if error.errno == _EIO and S_ISCHR(os.fstat(descriptor).st_mode):
                raise BrokenPipeError(error.errno, error.strerror) from error  # the terminal is gone
            name = "standard error" if descriptor == STDERR else "standard output"
            raise OutOfResources(f"{name} cannot be written: {error.strerror}") from error


def _wait_writable(descriptor: int) -> None:
    """Waits for somebody else's non-blocking pipe or terminal."""
    from select import POLLOUT, poll

    waiting = poll()
    waiting.register(descriptor, POLLOUT)
    waiting.poll()


def write(text: str) -> None:
    """Writes one or more lines of data; the last newline may be left out."""
    lines = text if text.endswith("\n") or not text else text + "\n"
    try:
        data = lines.encode("utf-8", "surrogateescape")  # what the command line had in it, as it was
    except UnicodeEncodeError:
        data = lines.encode("utf-8", "backslashreplace")
    write_bytes(data)


def write_json(document: Any, how: str) -> None:
    """Writes a document as ``--format`` says: ``json`` on one line, ``json-pretty`` for people."""
    if how == "json-pretty":
        from json import dumps as pretty

        write(pretty(document, indent=2))
    else:
        from carob.protocol.compact_json import dumps

        write(dumps(document))


def say(text: str) -> None:
    """One line of words on standard error; nobody there is fine."""
    try:
        os.write(STDERR, f"carob: {printable(text)}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return


def say_error(error: CarobError) -> None:
    """An error in one line, with its hint."""
    say(f"{error.message} ({error.hint})" if error.hint else error.message)


def printable(text: str) -> str:
    """The text on one line, without what a terminal would take for a command."""
    if text.isprintable():
        return text
    lines = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    return "".join([letter if letter.isprintable() else ascii(letter)[1:-1] for letter in lines])


def table(legend: Sequence[str], rows: Sequence[Sequence[str]], *, with_legend: bool = True) -> str:
    """Aligned columns, two spaces apart; nothing where there is nothing to say."""
    shown = [[printable(cell) for cell in row] for row in rows]
    lines = [list(legend), *shown] if with_legend else shown
    widths = [max([len(line[at]) for line in lines]) for at in range(len(legend))] if lines else []
    text = [
        "  ".join([cell.ljust(width) for cell, width in zip(line, widths, strict=True)]).rstrip()
        for line in lines
    ]
    return "".join([f"{line}\n" for line in text])


def time_text(time_ns: int | None) -> str:
    """A time in UTC to the millisecond (RFC 3339); ``""`` for none."""
    if time_ns is None:
        return ""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest_ns // 1_000_000:03d}Z"


def ago(time_ns: int | None, now_ns: int) -> str:
    """How long ago that was, in one unit, for people."""
    if time_ns is None:
        return ""
    seconds = max(0, (now_ns - time_ns) // 1_000_000_000)
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count = seconds // size
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def size_text(size_bytes: int) -> str:
    """A size in binary units."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
