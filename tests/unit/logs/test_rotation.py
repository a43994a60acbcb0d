"""A log of bounded size loses nothing but its oldest files, and is one log to who reads it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.errors import NotFound
from carob.logs import STDERR, STDOUT, LogWatch, output, read_entries
from carob.logs import names as log_names
from carob.logs.follow import follow
from carob.logs.rotation import RotatingWriter
from carob.logs.writer import open_writer

LOG = "web.log"


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "logs").mkdir()
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
def directory(pod: int) -> Iterator[int]:
    fd = os.open("logs", os.O_RDONLY | os.O_DIRECTORY, dir_fd=pod)
    yield fd
    os.close(fd)


@pytest.fixture
def writer(pod: int) -> Iterator[RotatingWriter]:
    made = open_writer(f"logs/{LOG}", pod, {"max_bytes": 1000, "max_files": 4})
    assert isinstance(made, RotatingWriter)
    yield made
    os.close(made.fd)


def write(writer: RotatingWriter, first: int, last: int) -> None:
    for number in range(first, last):
        writer.feed(STDOUT if number % 2 else STDERR, b"line %d\n" % number)


def lines(first: int, last: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(first, last))


def test_files_have_the_size_number_and_names_that_they_should(
    tmp_path: Path, directory: int, writer: RotatingWriter
) -> None:
    write(writer, 0, 200)
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert len(names) == 4
    assert names[0] == LOG
    assert log_names.rotated(directory, LOG) == names[1:]
    sizes = [(tmp_path / "logs" / name).stat().st_size for name in names]
    assert max(sizes) < 1100
    assert min(sizes[1:]) >= 1000
    got = output(read_entries(directory, LOG))
    assert got == lines(200 - got.count(b"\n"), 200)
    assert got.count(b"\n") > 40


def test_short_lines_make_no_file_longer(tmp_path: Path, pod: int) -> None:
    writer = open_writer(f"logs/{LOG}", pod, {"max_bytes": 50_000, "max_files": 3})
    for _ in range(4):
        writer.feed(STDOUT, b"\n" * 65536)
    sizes = [path.stat().st_size for path in (tmp_path / "logs").iterdir()]
    assert len(sizes) == 3
    assert max(sizes) < 55_000
    os.close(writer.fd)


def test_no_line_is_split_and_pieces_stay_in_order(pod: int, directory: int, writer: RotatingWriter) -> None:
    data = b"".join(b"%d " % number for number in range(1000)) + b"\n" + b"x" * 50_000
    for at in range(0, len(data), 700):
        writer.feed(STDOUT, data[at : at + 700])
    got = output(read_entries(directory, LOG))
    assert data.endswith(got)
    assert len(got) > 2000


def test_a_bound_of_one_file_keeps_one(tmp_path: Path, pod: int, directory: int) -> None:
    writer = open_writer(f"logs/{LOG}", pod, {"max_bytes": 1000, "max_files": 1})
    for number in range(100):
        writer.feed(STDOUT, b"line %d\n" % number)
    os.close(writer.fd)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [LOG]
    assert lines(0, 100).endswith(output(read_entries(directory, LOG)))


@pytest.mark.parametrize("tail", [0, 1, 5, 25, 60, 10_000])
def test_the_last_lines_come_from_as_many_files_as_it_takes(
    directory: int, writer: RotatingWriter, tail: int
) -> None:
    write(writer, 0, 200)
    everything = output(read_entries(directory, LOG)).splitlines(keepends=True)
    got = output(read_entries(directory, LOG, tail=tail)).splitlines(keepends=True)
    assert got == everything[max(0, len(everything) - tail) :]


def test_times_choose_from_all_files(directory: int, writer: RotatingWriter) -> None:
    write(writer, 0, 100)
    entries = list(read_entries(directory, LOG))
    since_ns, until_ns = entries[5].time_ns, entries[-5].time_ns
    got = list(read_entries(directory, LOG, since_ns=since_ns, until_ns=until_ns))
    assert got == [entry for entry in entries if since_ns <= entry.time_ns < until_ns]
    assert 0 < len(got) < len(entries)


def test_a_log_is_read_in_the_moment_of_a_rotation(
    tmp_path: Path, directory: int, writer: RotatingWriter
) -> None:
    write(writer, 0, 30)
    everything = output(read_entries(directory, LOG))
    (tmp_path / "logs" / LOG).rename(tmp_path / "logs" / f"{LOG}.29990101-000000")
    assert output(read_entries(directory, LOG, tail=3)) == lines(27, 30)
    with pytest.raises(NotFound):  # init was killed just then; nothing is lost, and who follows waits
        list(read_entries(directory, "other.log"))
    steps = [lambda: open_and_close(tmp_path / "logs" / LOG)]
    found = list(follow(directory, [LOG], lambda: not steps, lambda timeout_s: steps.pop()()))
    assert b"".join(entry.output for _, entry in found) == everything


def open_and_close(path: Path) -> None:
    path.touch()


def test_what_is_no_rotated_file_of_this_log_is_left_alone(
    tmp_path: Path, directory: int, writer: RotatingWriter
) -> None:
    others = ["web.log.bak", "web.log.1", "web2.log.20200101-000000", "web.log.20200101-000000.gz"]
    for name in others:
        (tmp_path / "logs" / name).write_bytes(b"another's")
    write(writer, 0, 300)
    assert {name for name in os.listdir(directory) if name in others} == set(others)
    assert b"another" not in output(read_entries(directory, LOG))


def test_a_disk_that_takes_no_new_file_only_makes_the_log_longer(
    tmp_path: Path, directory: int, writer: RotatingWriter
) -> None:
    (tmp_path / "logs" / f".{LOG}.new").mkdir()
    write(writer, 0, 100)
    assert output(read_entries(directory, LOG)) == lines(0, 100)
    (tmp_path / "logs" / f".{LOG}.new").rmdir()
    write(writer, 100, 110)
    assert len(log_names.rotated(directory, LOG)) == 1
    assert output(read_entries(directory, LOG)) == lines(0, 110)


def test_who_follows_sees_all_however_often_it_is_rotated_between_two_looks(
    directory: int, writer: RotatingWriter
) -> None:
    written = [0]

    def more() -> None:
        write(writer, written[0], written[0] + 40)  # two rotations and more
        written[0] += 40

    found = list(follow(directory, [LOG], lambda: written[0] >= 400, lambda timeout_s: more()))
    assert b"".join(entry.output for _, entry in found) == lines(0, 400)


@pytest.mark.timeout(60)
def test_a_reader_beside_a_quick_writer_misses_nothing_that_is_kept(pod: int, directory: int) -> None:
    writer = open_writer(f"logs/{LOG}", pod, {"max_bytes": 20_000, "max_files": 1000})
    over = threading.Event()

    def flood() -> None:
        for number in range(20_000):
            writer.feed(STDOUT, b"line %d\n" % number)
        over.set()

    thread = threading.Thread(target=flood)
    with LogWatch(directory) as watch:
        thread.start()
        found = b"".join(entry.output for _, entry in follow(directory, [LOG], over.is_set, watch.wait))
    thread.join()
    os.close(writer.fd)
    assert found == lines(0, 20_000)
    assert len(log_names.rotated(directory, LOG)) > 20


def test_several_long_logs_are_merged_in_the_order_of_time(tmp_path: Path, directory: int) -> None:
    from carob.logs.format import encode

    for at, name in enumerate(("a", "b", "c")):
        with (tmp_path / "logs" / name).open("wb") as file:
            for number in range(at, 30_000, 3 if name != "c" else 300):
                file.write(encode(STDOUT, b"%d\n" % number, number + 1))
    found = list(follow(directory, ["a", "b", "c"], lambda: True, lambda timeout_s: None))
    times = [entry.time_ns for _, entry in found]
    assert len(times) == 20_100
    assert times == sorted(times)
