from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carob.logs.entry import EntryParser, LogEntry
from carob.logs.format import LINE_BYTES, STDERR, STDOUT
from carob.logs.writer import LogWriter

# A piece and how often it is repeated, so that failures stay readable.
chunks = st.tuples(st.binary(max_size=40), st.just(1)) | st.tuples(
    st.sampled_from([b"\n", b"a", b"b\n", b"\0", b"a longer line\n"]), st.sampled_from([1, 100, 5000, 20_000])
)
feeds = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), chunks), max_size=8)
Chunk = tuple[bytes, int]


def entries_of(log: bytes) -> list[LogEntry]:
    parser = EntryParser()
    return parser.feed(log) + parser.finish()


def output_of(entries: list[LogEntry], stream: str) -> bytes:
    return b"".join(entry.output for entry in entries if entry.stream == stream)


def fed(given_feeds: list[tuple[str, Chunk]], stream: str) -> bytes:
    return b"".join(piece * count for name, (piece, count) in given_feeds if name == stream)


@given(feeds)
@settings(deadline=None)
def test_every_byte_of_both_streams_comes_back(given_feeds: list[tuple[str, Chunk]]) -> None:
    fd = os.memfd_create("log")
    try:
        writer = LogWriter(fd)
        for stream, (piece, count) in given_feeds:
            writer.feed(stream, piece * count)
        writer.finish(STDOUT)
        writer.finish(STDERR)
        log = os.pread(fd, 1 << 24, 0)
    finally:
        os.close(fd)
    entries = entries_of(log)
    assert log == b"" or log.endswith(b"\n")
    assert output_of(entries, STDOUT) == fed(given_feeds, STDOUT)
    assert output_of(entries, STDERR) == fed(given_feeds, STDERR)
    assert all(len(entry.data) <= LINE_BYTES for entry in entries)
    assert writer.dropped_bytes == 0
    assert writer.last_errno == 0


def test_a_prompt_is_in_the_file_at_once_and_its_missing_newline_stays_missing(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        writer = LogWriter(fd)
        writer.feed(STDOUT, b"password: ")
        assert path.read_bytes().endswith(b" stdout P password: \n")
        writer.finish(STDOUT)
    finally:
        os.close(fd)
    assert output_of(entries_of(path.read_bytes()), STDOUT) == b"password: "


def test_the_time_is_that_of_the_feed(tmp_path: Path) -> None:
    import time

    fd = os.open(tmp_path / "app.log", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        before_ns = time.time_ns()
        LogWriter(fd).feed(STDERR, b"a\nb\n")
        after_ns = time.time_ns()
        first, second = entries_of(os.pread(fd, 4096, 0))
    finally:
        os.close(fd)
    assert before_ns <= first.time_ns == second.time_ns <= after_ns


def test_a_full_disk_loses_output_and_nothing_else() -> None:
    fd = os.open("/dev/full", os.O_WRONLY | os.O_APPEND)
    try:
        writer = LogWriter(fd)
        writer.feed(STDOUT, b"one\n")
        writer.feed(STDERR, b"two")
        writer.finish(STDOUT)
        writer.finish(STDERR)
    finally:
        os.close(fd)
    assert writer.dropped_bytes == 7
    assert writer.last_errno == errno.ENOSPC


def test_a_closed_file_loses_output_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        writer = LogWriter(writing)
        writer.feed(STDOUT, b"one\n")
    finally:
        os.close(writing)
    assert writer.dropped_bytes == 4
    assert writer.last_errno == errno.EPIPE


class SmallDisk:
    """A file with a limit of its size (RLIMIT_FSIZE) that bites at any byte, like a disk that is full."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._fd = os.memfd_create("log")
        self._writer = LogWriter(self._fd)

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @property
    def log(self) -> bytes:
        return os.pread(self._fd, 1 << 24, 0)

    @property
    def dropped_bytes(self) -> int:
        return self._writer.dropped_bytes

    @property
    def last_errno(self) -> int:
        return self._writer.last_errno

    def make_space(self, size_bytes: int) -> None:
        self._size_bytes += size_bytes

    def feed(self, stream: str, data: bytes) -> None:
        self._limited(lambda: self._writer.feed(stream, data))

    def finish(self, stream: str) -> None:
        self._limited(lambda: self._writer.finish(stream))

    def _limited(self, step: Callable[[], None]) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size_bytes, before[1]))
        try:
            step()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


LINE = len(b"2016-10-06T00:17:09.669794202Z stdout F \n")


@pytest.mark.parametrize("cut", range(1, 40))
def test_after_a_full_disk_the_cut_line_is_ended_and_the_loss_marked(cut: int) -> None:
    with SmallDisk(LINE + len(b"one") + cut) as disk:
        disk.feed(STDOUT, b"one\ntwo\nthree\nfour")
        assert disk.last_errno == errno.EFBIG
        assert disk.dropped_bytes == len(b"three\nfour")
        assert not disk.log.endswith(b"\n")
        disk.feed(STDERR, b"still full\n")
        disk.make_space(1000)
        disk.feed(STDOUT, b"later\n")
        marks = [(entry.stream, entry.output, entry.dropped_bytes) for entry in entries_of(disk.log)]
    assert marks == [
        (STDOUT, b"one\n", 0),
        (STDOUT, b"two\n", 0),
        (STDOUT, b"", len(b"three\nfour")),
        (STDERR, b"", len(b"still full\n")),
        (STDOUT, b"later\n", 0),
    ]


def test_a_cut_line_is_ended_also_when_nothing_else_was_lost() -> None:
    with SmallDisk(LINE) as disk:
        disk.feed(STDOUT, b"one\n")
        disk.make_space(1000)
        disk.feed(STDOUT, b"two\n")
        assert [entry.output for entry in entries_of(disk.log)] == [b"one\n", b"two\n"]
        assert disk.dropped_bytes == 0


def test_the_end_of_a_stream_marks_what_was_lost_of_it() -> None:
    with SmallDisk(0) as disk:
        disk.feed(STDERR, b"lost\n")
        disk.finish(STDERR)
        assert disk.log == b""
        disk.make_space(1000)
        disk.finish(STDERR)
        (mark,) = entries_of(disk.log)
    assert (mark.stream, mark.output, mark.dropped_bytes) == (STDERR, b"", 5)


steps = st.tuples(
    st.sampled_from([STDOUT, STDERR]), chunks, st.sampled_from([0, 0, 1, 30, 60, 100, 5000, 100_000])
)


@given(st.integers(0, 200), st.lists(steps, max_size=10))
@settings(deadline=None)
def test_however_the_disk_fills_what_is_there_and_what_is_marked_is_all(
    size_bytes: int, given_steps: list[tuple[str, Chunk, int]]
) -> None:
    with SmallDisk(size_bytes) as disk:
        for stream, (piece, count), space_bytes in given_steps:
            disk.feed(stream, piece * count)
            disk.make_space(space_bytes)
        disk.make_space(100_000)
        disk.finish(STDOUT)
        disk.finish(STDERR)
        entries, dropped_bytes = entries_of(disk.log), disk.dropped_bytes
    assert {entry.stream for entry in entries} <= {STDOUT, STDERR}
    for stream in (STDOUT, STDERR):
        marked = sum(entry.dropped_bytes for entry in entries if entry.stream == stream)
        written = sum(len(piece) * count for name, (piece, count), _ in given_steps if name == stream)
        assert len(output_of(entries, stream)) + marked == written
    assert sum(entry.dropped_bytes for entry in entries) == dropped_bytes
