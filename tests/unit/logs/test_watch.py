from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carob.logs.follow import follow
from carob.logs.format import STDOUT, encode
from carob.logs.watch import LogWatch

LONG_S = 60.0  # a wait that nothing ends runs into the time limit of the test


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def waits_out(watch: LogWatch, timeout_s: float = 0.05) -> bool:
    """Whether a wait runs to its end."""
    before_s = time.monotonic()
    watch.wait(timeout_s)
    return time.monotonic() - before_s >= timeout_s * 0.9


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "change",
    [
        lambda path: append(path / "there"),
        lambda path: (path / "new").touch(),
        lambda path: os.truncate(path / "there", 0),
        lambda path: (path / "outside" / "other").rename(path / "there"),
    ],
    ids=["grown", "created", "shortened", "replaced"],
)
def test_a_change_before_the_wait_ends_it_once(
    change: Callable[[Path], None], tmp_path: Path, directory: int
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "other").write_bytes(b"other")
    (tmp_path / "there").write_bytes(b"there")
    with LogWatch(directory) as watch:
        assert watch.watching
        assert waits_out(watch)
        change(tmp_path)
        watch.wait(LONG_S)
        assert waits_out(watch)


@pytest.mark.timeout(30)
def test_a_descriptor_of_the_callers_ends_one_wait(directory: int) -> None:
    reading, writing = os.pipe()
    try:
        with LogWatch(directory, [reading]) as watch:
            assert waits_out(watch)
            os.write(writing, b"x")
            watch.wait(LONG_S)
            assert waits_out(watch)  # still readable, but it has told what it had to tell
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.timeout(30)
def test_without_inotify_the_waits_are_short(tmp_path: Path) -> None:
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)  # a file cannot be watched as a directory
    try:
        with LogWatch(file) as watch:
            assert not watch.watching
            watch.wait(LONG_S)
    finally:
        os.close(file)


@pytest.mark.timeout(30)
def test_a_follower_is_woken_by_each_line(tmp_path: Path, directory: int) -> None:
    heard = threading.Semaphore(0)
    over = threading.Event()
    waited: list[float] = []

    def write() -> None:
        for number in range(50):
            with (tmp_path / "app").open("ab") as file:
                file.write(encode(STDOUT, b"%d\n" % number, number))
            heard.acquire()  # one line at a time: each must be heard without the next
        over.set()
        (tmp_path / "end").touch()

    writer = threading.Thread(target=write)
    with LogWatch(directory) as watch:

        def wait(timeout_s: float) -> None:
            waited.append(timeout_s)
            watch.wait(LONG_S)

        writer.start()
        got = []
        for _, entry in follow(directory, ["app"], over.is_set, wait):
            got.append(entry.data)
            heard.release()
        writer.join()
    assert got == [b"%d" % number for number in range(50)]
    assert waited
