from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carob.errors import NotFound, Unavailable
from carob.logs import MALFORMED, STDERR, STDOUT, LogEntry, output, read_entries, text
from carob.logs.entry import LONGEST_LINE_BYTES, EntryParser
from carob.logs.format import encode
from carob.logs.tail import last_entries, line_end

NAME = "app.log"
SECOND_NS = 1_000_000_000


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_exact_bytes_and_text(tmp_path: Path, directory: int) -> None:
    (tmp_path / NAME).write_bytes(
        encode(STDOUT, b"a\xff\0\r\n", 1) + encode(STDERR, b"oops\n", 2) + encode(STDOUT, b"b", 3)
    )
    assert output(read_entries(directory, NAME)) == b"a\xff\0\r\noops\nb"
    assert output(read_entries(directory, NAME, streams=[STDERR])) == b"oops\n"
    assert text(read_entries(directory, NAME, streams=[STDOUT])) == "a\ufffd\0\r\nb"
    assert text(read_entries(directory, NAME, streams=[STDOUT]), errors="surrogateescape") == "a\udcff\0\r\nb"


def test_a_missing_final_newline_is_told_from_a_present_one(tmp_path: Path, directory: int) -> None:
    (tmp_path / NAME).write_bytes(encode(STDOUT, b"end", 1))
    assert [entry.partial for entry in read_entries(directory, NAME)] == [True]
    (tmp_path / NAME).write_bytes(encode(STDOUT, b"end\n", 1))
    assert [entry.partial for entry in read_entries(directory, NAME)] == [False]


def test_what_other_runtimes_write_is_read(tmp_path: Path, directory: int) -> None:
    (tmp_path / NAME).write_bytes(
        b"2016-10-06T02:17:09.66979+02:00 stdout P hel\n2016-10-06T00:17:10Z stdout F:x lo\n"
    )
    first, second = read_entries(directory, NAME)
    assert first == LogEntry(1475713029_669790000, STDOUT, partial=True, data=b"hel")
    assert second == LogEntry(1475713030_000000000, STDOUT, partial=False, data=b"lo")


def test_a_malformed_line_is_given_as_such_and_stops_nothing(tmp_path: Path, directory: int) -> None:
    (tmp_path / NAME).write_bytes(
        encode(STDOUT, b"one\n", 5) + b"\0\0garbage\n" + encode(STDOUT, b"two\n", 6)
    )
    entries = list(read_entries(directory, NAME))
    assert entries[1] == LogEntry(5, MALFORMED, partial=False, data=b"\0\0garbage")
    assert output(entries) == b"one\ntwo\n"


@pytest.mark.parametrize("cut", range(1, 46))
def test_a_line_cut_anywhere_adds_no_byte_that_the_app_did_not_write(
    cut: int, tmp_path: Path, directory: int
) -> None:
    whole, last = encode(STDOUT, b"whole\n", SECOND_NS), encode(STDOUT, b"cut off\n", SECOND_NS)
    (tmp_path / NAME).write_bytes(whole + last[:cut])
    for tail in (None, 10):
        got = output(read_entries(directory, NAME, tail=tail))
        assert b"whole\ncut off".startswith(got)
        assert got.startswith(b"whole\n")


def test_since_chooses_by_time(tmp_path: Path, directory: int) -> None:
    (tmp_path / NAME).write_bytes(b"".join(encode(STDOUT, b"%d\n" % n, n * SECOND_NS) for n in range(10)))
    assert output(read_entries(directory, NAME, since_ns=8 * SECOND_NS)) == b"8\n9\n"
    assert output(read_entries(directory, NAME, since_ns=8 * SECOND_NS, tail=5)) == b"8\n9\n"
    assert output(read_entries(directory, NAME, since_ns=8 * SECOND_NS, tail=1)) == b"9\n"


def test_no_log_and_no_file_are_named_errors(tmp_path: Path, directory: int) -> None:
    with pytest.raises(NotFound, match="absent"):
        list(read_entries(directory, "absent"))
    (tmp_path / "elsewhere").write_bytes(encode(STDOUT, b"secret\n", 1))
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "sub").mkdir()
    for name in ("link", "sub"):
        with pytest.raises(Unavailable, match=name):
            list(read_entries(directory, name))


def test_an_abandoned_iterator_closes_its_file(tmp_path: Path, directory: int) -> None:
    (tmp_path / NAME).write_bytes(encode(STDOUT, b"one\ntwo\n", 1))
    before = os.listdir("/proc/self/fd")
    entries = read_entries(directory, NAME)
    next(entries)
    entries.close()  # type: ignore[attr-defined]
    assert os.listdir("/proc/self/fd") == before


@given(st.binary(max_size=400), st.lists(st.integers(1, 30)))
@settings(deadline=None)
def test_chunks_of_any_size_give_the_same_entries(data: bytes, sizes: list[int]) -> None:
    log = encode(STDOUT, data, 1) + b"garbage\n" + encode(STDERR, data, 2)
    parser = EntryParser()
    entries, start = [], 0
    for size in sizes:
        entries += parser.feed(log[start : start + size])
        start += size
    entries += parser.feed(log[start:])
    assert parser.finish() == []
    assert entries == EntryParser().feed(log)


def test_what_has_no_newline_does_not_fill_the_memory() -> None:
    parser = EntryParser()
    sizes = [sum(len(entry.data) for entry in parser.feed(bytes(1 << 20))) for _ in range(20)]
    assert max(sizes) == LONGEST_LINE_BYTES + (1 << 20)


# --- the last lines --------------------------------------------------------------------------------


def lines_of(entries: list[LogEntry]) -> list[list[int]]:
    """Positions of the entries of each line of the app's, ordered by where the line ends."""
    lines: list[list[int]] = []
    unended: dict[str, list[int]] = {}
    for position, entry in enumerate(entries):
        line = unended.setdefault(entry.stream, [])
        line.append(position)
        if entry.stream == MALFORMED or not entry.partial:
            lines.append(unended.pop(entry.stream))
    return sorted(lines + list(unended.values()), key=lambda line: line[-1])


log_lines = st.lists(
    st.sampled_from([(STDOUT, b"a\n"), (STDOUT, b"b"), (STDERR, b"c\n"), (STDERR, b"d"), (MALFORMED, b"?")]),
    max_size=25,
)


@given(log_lines, st.integers(0, 8), st.sampled_from([(STDOUT, STDERR, MALFORMED), (STDOUT,), (STDERR,)]))
@settings(max_examples=300, deadline=None)
def test_tail_gives_whole_lines_of_the_app(
    kinds: list[tuple[str, bytes]], tail: int, streams: tuple[str, ...]
) -> None:
    log = b"".join(
        b"garbage %d\n" % time_ns if stream == MALFORMED else encode(stream, data, time_ns)
        for time_ns, (stream, data) in enumerate(kinds)
    )
    entries = [entry for entry in EntryParser().feed(log) if entry.stream in streams] if log else []
    positions = sorted(chain(*lines_of(entries)[-tail:])) if tail else []
    fd = os.memfd_create("log")
    try:
        os.write(fd, log)
        assert line_end(fd, len(log)) == len(log)
        got = last_entries(fd, len(log), tail, streams)
    finally:
        os.close(fd)
    assert [(e.stream, e.data) for e in got] == [(entries[p].stream, entries[p].data) for p in positions]


def test_tail_of_a_large_log_crosses_the_blocks_it_reads(tmp_path: Path, directory: int) -> None:
    data = b"".join(b"%d %s\n" % (n, b"x" * (n % 301)) for n in range(20_000))
    (tmp_path / NAME).write_bytes(encode(STDOUT, data, 1))
    lines = data.splitlines(keepends=True)
    for tail in (1, 5000, 20_000, 30_000):
        assert output(read_entries(directory, NAME, tail=tail)) == b"".join(lines[-tail:])


def test_tail_counts_a_line_of_many_pieces_once(tmp_path: Path, directory: int) -> None:
    data = b"first\n" + b"y" * 100_000 + b"\nlast\n"
    (tmp_path / NAME).write_bytes(encode(STDOUT, data, 1))
    assert output(read_entries(directory, NAME, tail=2)) == data[6:]
