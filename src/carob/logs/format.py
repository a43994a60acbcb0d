"""The log format that Kubernetes reads: how output becomes lines of a log file, and back.

One line is ``2016-10-06T00:17:09.669794202Z stdout F message`` and a newline: the time (RFC 3339, here
always UTC with nine digits), the stream, the tags, the app's bytes as they were. The tag ``F`` (full)
stands for the newline the app wrote; ``P`` (partial) says that none was written here, so the bytes of
the stream are the data of its lines, with a newline after each ``F`` and none after ``P``. More tags may
follow after a colon, which other readers pass over; ``P:dropped=N`` marks where N bytes were lost.

Pure and lean, because the pod's init loads it. docs/reference/log-format.md says all of it.
"""

from __future__ import annotations

import time

STDOUT = "stdout"
STDERR = "stderr"
LINE_BYTES = 16 * 1024
"""No line of the log holds more of the app's bytes than this: a longer one becomes ``P`` pieces."""

SECOND_NS = 1_000_000_000

_FIELD = {STDOUT: b" stdout ", STDERR: b" stderr "}
_STREAM = {b"stdout": STDOUT, b"stderr": STDERR}
_DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DROPPED = b"dropped="
_LONGEST_COUNT = 19  # digits of 2**63

# The last second seen, formatted and parsed: nearly every stamp shares its second with the one before.
# Each is replaced as a whole, so threads may share them.
_formatted: tuple[int, bytes] = (-1, b"")
_parsed: tuple[bytes, int] = (b"", 0)


def stamp(time_ns: int) -> bytes:
    """A time in nanoseconds since 1970 as RFC 3339 in UTC with nine digits."""
    global _formatted
    second, fraction_ns = divmod(time_ns, SECOND_NS)
    known, prefix = _formatted
    if known != second:
        prefix = b"%04d-%02d-%02dT%02d:%02d:%02d" % time.gmtime(second)[:6]
        _formatted = (second, prefix)
    return b"%b.%09dZ" % (prefix, fraction_ns)


def encode(stream: str, data: bytes, time_ns: int) -> bytes:
    """Lines of the log for what one read of an app's stream gave; all have the same time.

    What follows the last newline becomes a ``P`` line at once. Lines of more than ``LINE_BYTES`` are split.
    """
    head = stamp(time_ns) + _FIELD[stream]
    full = head + b"F "
    partial = head + b"P "
    between = b"\n" + full
    pieces: list[bytes] = []
    start, size = 0, len(data)
    while size - start > LINE_BYTES:
        # The last newline within reach: the lines before it are all short enough, whatever their number.
        end = data.rfind(b"\n", start, start + LINE_BYTES + 1)
        if end < 0:
            end = start + LINE_BYTES
            pieces += (partial, data[start:end], b"\n")
            start = end
        else:
            pieces += (full, data[start:end].replace(b"\n", between), b"\n")
            start = end + 1
    end = data.rfind(b"\n", start)
    if end >= 0:
        pieces += (full, data[start:end].replace(b"\n", between), b"\n")
        start = end + 1
    if start < size:
        pieces += (partial, data[start:], b"\n")
    return b"".join(pieces)


def encode_dropped(stream: str, size_bytes: int, time_ns: int) -> bytes:
    """The line that says: here so many bytes of the stream could not be written. It adds none itself."""
    return b"%b%bP:%b%d \n" % (stamp(time_ns), _FIELD[stream], _DROPPED, size_bytes)


def parse_line(line: bytes) -> tuple[int, str, bool, bytes, int] | None:
    """One line, without its newline, as (time_ns, stream, partial, data, dropped_bytes).

    Takes what other runtimes write as well: other time zones, fewer digits, unknown further tags.
    ``None`` for a line that is not of this format.
    """
    fields = line.split(b" ", 3)
    if len(fields) != 4:
        return None
    stream = _STREAM.get(fields[1])
    time_ns = parse_stamp(fields[0])
    if stream is None or time_ns is None:
        return None
    tags = fields[2]
    if tags == b"F":
        return time_ns, stream, False, fields[3], 0
    if tags == b"P":
        return time_ns, stream, True, fields[3], 0
    first, *others = tags.split(b":")
    if first not in (b"F", b"P"):
        return None
    return time_ns, stream, first == b"P", fields[3], _dropped_bytes(others)


def _dropped_bytes(tags: list[bytes]) -> int:
    for tag in tags:
        count = tag[len(_DROPPED) :]
        if tag.startswith(_DROPPED) and count.isdigit() and len(count) <= _LONGEST_COUNT:
            return int(count)
    return 0


def parse_stamp(text: bytes) -> int | None:
    """An RFC 3339 time as nanoseconds since 1970; ``None`` where it is not one."""
    global _parsed
    prefix = text[:19]
    known, seconds = _parsed
    if prefix != known:
        parsed = _seconds(prefix)
        if parsed is None:
            return None
        seconds = parsed
        _parsed = (prefix, seconds)
    if text[-1:] == b"Z":
        fraction = text[19:-1]
    else:
        offset_s = _zone_s(text[-6:])
        if offset_s is None:
            return None
        seconds -= offset_s
        fraction = text[19:-6]
    if not fraction:
        return seconds * SECOND_NS
    digits = fraction[1:]
    if fraction[:1] != b"." or not digits.isdigit() or len(digits) > 9:
        return None
    return seconds * SECOND_NS + int(digits.ljust(9, b"0"))


def _seconds(text: bytes) -> int | None:
    """Seconds since 1970 of ``YYYY-MM-DDTHH:MM:SS`` in UTC."""
    separators = (text[4:5], text[7:8], text[10:11], text[13:14], text[16:17])
    numbers = (text[:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    if separators != (b"-", b"-", b"T", b":", b":") or not b"".join(numbers).isdigit() or len(text) != 19:
        return None
    year, month, day, hour, minute, second = map(int, numbers)
    if not (1 <= month <= 12 and hour < 24 and minute < 60 and second < 60):
        return None
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS_OF_MONTH[month - 1] or (month == 2 and day == 29 and not leap):
        return None
    return _days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 (Gregorian), in years that begin in March so that leap days come last."""
    if month < 3:
        year -= 1
        month += 12
    leap_days = year // 4 - year // 100 + year // 400
    return year * 365 + leap_days + (153 * (month - 3) + 2) // 5 + day - 719_469


def _zone_s(text: bytes) -> int | None:
    """Seconds east of UTC of ``+HH:MM`` or ``-HH:MM``."""
    hours, minutes = text[1:3], text[4:6]
    if text[:1] not in (b"+", b"-") or text[3:4] != b":" or not (hours + minutes).isdigit():
        return None
    offset_s = int(hours) * 3_600 + int(minutes) * 60
    return -offset_s if text[:1] == b"-" else offset_s
