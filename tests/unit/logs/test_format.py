from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from carob.logs.format import (
    LINE_BYTES,
    STDERR,
    STDOUT,
    encode,
    encode_dropped,
    parse_line,
    parse_stamp,
    stamp,
)

STAMP = b"2016-10-06T00:17:09.669794202Z"
STAMP_NS = 1475713029669794202

times_ns = st.integers(min_value=0, max_value=253402300799_999999999)  # to the end of the year 9999


def decode(log: bytes, stream: str) -> bytes:
    """The app's bytes, by the rule of the format and nothing else of ours."""
    result = []
    for line in log.split(b"\n")[:-1]:
        _, name, tags, data = line.split(b" ", 3)
        if name.decode() == stream:
            result.append(data + (b"\n" if tags == b"F" else b""))
    return b"".join(result)


def test_a_line_is_what_kubernetes_documents() -> None:
    assert encode(STDOUT, b"message\n", STAMP_NS) == STAMP + b" stdout F message\n"
    assert encode(STDERR, b"message", STAMP_NS) == STAMP + b" stderr P message\n"


def test_an_empty_line_keeps_its_delimiter() -> None:
    assert encode(STDOUT, b"\n", STAMP_NS) == STAMP + b" stdout F \n"


def test_nothing_becomes_nothing() -> None:
    assert encode(STDOUT, b"", STAMP_NS) == b""


@given(times_ns)
@settings(deadline=None)
@example(0)
@example(951782400_000000001)  # 29 February 2000
@example(253402300799_999999999)
def test_stamps_come_back(time_ns: int) -> None:
    text = stamp(time_ns)
    assert len(text) == len(STAMP)
    assert parse_stamp(text) == time_ns


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30)), st.integers(-839, 839))
@settings(deadline=None)
def test_stamps_of_other_zones_and_digits_are_understood(moment: datetime, zone_minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=zone_minutes)))
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    time_us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    assert parse_stamp(aware.isoformat().encode()) == time_us * 1_000


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Z",
        b"2016-10-06",
        b"2016-10-06T00:17:09",
        b"2016-10-06 00:17:09Z",
        b"2016-13-06T00:17:09Z",
        b"2016-00-06T00:17:09Z",
        b"2016-10-00T00:17:09Z",
        b"2016-04-31T00:17:09Z",
        b"2015-02-29T00:17:09Z",
        b"2100-02-29T00:17:09Z",
        b"2016-10-06T24:17:09Z",
        b"2016-10-06T00:60:09Z",
        b"2016-10-06T00:17:60Z",
        b"2016-10-06T00:17:09.Z",
        b"2016-10-06T00:17:09.1234567890Z",
        b"2016-10-06T00:17:09.12x4Z",
        b"2016-10-06T00:17:09,123Z",
        b"2016-10-06T00:17:09.123",
        b"2016-10-06T00:17:09+0200",
        b"2016-10-06T00:17:09.1+2:000",
        b"+016-10-06T00:17:09Z",
        b"2016-1_-06T00:17:09Z",
        b"-06:00",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_time_is_refused(text: bytes) -> None:
    assert parse_stamp(text) is None


@given(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=300), times_ns)
@settings(deadline=None)
def test_lines_parse_back(stream: str, data: bytes, time_ns: int) -> None:
    lines = encode(stream, data, time_ns).split(b"\n")[:-1]
    parsed = [parse_line(line) for line in lines]
    parts = data.split(b"\n")
    expected = [(time_ns, stream, False, part, 0) for part in parts[:-1]]
    if parts[-1]:
        expected.append((time_ns, stream, True, parts[-1], 0))
    assert parsed == expected


pieces = st.sampled_from([b"\n", b"a", b"\0", b"\xff\xfe", b"\r\n", b" ", b"F ", "é".encode()])
runs = st.tuples(pieces, st.sampled_from([1, 2, 5000, LINE_BYTES - 1, LINE_BYTES, 40_000]))


@given(st.lists(runs, max_size=6))
@settings(deadline=None)
def test_long_lines_are_split_and_no_byte_changes(parts: list[tuple[bytes, int]]) -> None:
    data = b"".join(piece * count for piece, count in parts)
    log = encode(STDOUT, data, STAMP_NS)
    assert decode(log, STDOUT) == data
    parsed = [parse_line(line) for line in log.split(b"\n")[:-1]]
    assert all(entry is not None and len(entry[3]) <= LINE_BYTES for entry in parsed)


@pytest.mark.parametrize(
    ("size_bytes", "tags"),
    [
        (LINE_BYTES - 1, "F"),
        (LINE_BYTES, "F"),
        (LINE_BYTES + 1, "PF"),
        (2 * LINE_BYTES, "PF"),
        (40_000, "PPF"),
    ],
)
def test_a_line_is_split_only_where_it_must_be(size_bytes: int, tags: str) -> None:
    lines = encode(STDOUT, b"x" * size_bytes + b"\n", STAMP_NS).split(b"\n")[:-1]
    assert b"".join(line.split(b" ")[2] for line in lines).decode() == tags


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        STAMP,
        STAMP + b" stdout",
        STAMP + b" stdout F",
        STAMP + b" stdin F message",
        STAMP + b" stdout X message",
        STAMP + b" stdout  message",
        b"yesterday stdout F message",
        b'{"log":"message\\n","stream":"stdout","time":"2016-10-20T18:39:20.57606443Z"}',
        bytes(4096),
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    assert parse_line(line) is None


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: STAMP + b" stdout " + tail))
@settings(deadline=None)
def test_no_line_is_too_bad_to_be_looked_at(line: bytes) -> None:
    parsed = parse_line(line)
    assert parsed is None or parsed[1] in (STDOUT, STDERR)


def test_unknown_further_tags_are_passed_over() -> None:
    assert parse_line(STAMP + b" stdout P:new:tags=1 abc") == (STAMP_NS, STDOUT, True, b"abc", 0)
    assert parse_line(STAMP + b" stdout F:new abc") == (STAMP_NS, STDOUT, False, b"abc", 0)


def test_a_mark_of_lost_bytes_adds_none() -> None:
    mark = encode_dropped(STDERR, 4711, STAMP_NS)
    assert mark == STAMP + b" stderr P:dropped=4711 \n"
    assert parse_line(mark[:-1]) == (STAMP_NS, STDERR, True, b"", 4711)


@pytest.mark.parametrize("count", [b"", b"x", b"-1", b"9" * 5000])
def test_a_mark_without_a_number_marks_nothing(count: bytes) -> None:
    assert parse_line(STAMP + b" stderr P:dropped=" + count + b" ") == (STAMP_NS, STDERR, True, b"", 0)


def test_the_writer_brings_little_into_init() -> None:
    allowed = {"carob", "carob.logs", "carob.logs.format", "carob.logs.writer"}
    script = (
        "import sys, os, time; before = set(sys.modules); sys.path[:0] = eval(sys.argv[1]);"
        "import carob.logs.writer; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, repr(sys.path)], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) - {"__future__"} == allowed
