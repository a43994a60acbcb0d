from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carob.errors import Unavailable
from carob.logs.cursor import Cursor
from carob.logs.entry import STREAMS, LogEntry
from carob.logs.follow import follow, looks
from carob.logs.format import STDERR, STDOUT, encode
from carob.logs.watch import LogWatch


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


class Script:
    """Does one step each time the follower has nothing to read; the end comes with the last one."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)

    def wait(self, timeout_s: float) -> None:
        assert timeout_s > 0
        self._steps.pop(0)()

    def ended(self) -> bool:
        return not self._steps

    def follow(
        self,
        directory: int,
        *names: str,
        tail: int | None = None,
        since_ns: int = 0,
        streams: object = STREAMS,
    ) -> list[tuple[str, LogEntry]]:
        return list(
            follow(
                directory,
                names,
                self.ended,
                self.wait,
                tail=tail,
                since_ns=since_ns,
                streams=streams,  # type: ignore[arg-type]
            )
        )


def output(found: list[tuple[str, LogEntry]], name: str = "a") -> bytes:
    return b"".join(entry.output for which, entry in found if which == name)


def test_entries_come_as_they_are_written(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "a"
    script = Script(
        lambda: append(path, encode(STDOUT, b"one\n", 1)),
        lambda: append(path, encode(STDERR, b"two: ", 2)),
        lambda: append(path, encode(STDERR, b"three\n", 3)),
    )
    seen = []
    for name, entry in follow(directory, ["a"], script.ended, script.wait):
        seen.append((name, entry.stream, entry.output, len(script._steps)))
    assert seen == [("a", STDOUT, b"one\n", 2), ("a", STDERR, b"two: ", 1), ("a", STDERR, b"three\n", 0)]


def test_what_is_written_just_before_the_end_is_not_lost(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "a"
    path.touch()
    asked: list[int] = []

    def ended() -> bool:
        asked.append(len(asked))
        if len(asked) == 2:  # the last moment at which an app may write
            append(path, encode(STDOUT, b"last words\n", 1))
        return len(asked) >= 2

    assert output(list(follow(directory, ["a"], ended, lambda timeout_s: None))) == b"last words\n"


def test_a_half_written_line_waits_for_its_newline(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "a"
    line = encode(STDOUT, b"whole message\n", 1)
    for cut in range(1, len(line)):
        path.write_bytes(line[:cut])
        script = Script(lambda: None, lambda rest=line[cut:]: append(path, rest))  # type: ignore[misc]
        found = script.follow(directory, "a")
        assert [(entry.output, entry.stream) for _, entry in found] == [(b"whole message\n", STDOUT)]


def test_a_last_line_never_ended_is_given_at_the_end(tmp_path: Path, directory: int) -> None:
    (tmp_path / "a").write_bytes(encode(STDOUT, b"one\ntwo\n", 1)[:-3])
    assert output(Script().follow(directory, "a")) == b"one\nt"


def test_files_that_come_later_are_followed_too(tmp_path: Path, directory: int) -> None:
    script = Script(
        lambda: append(tmp_path / "b", encode(STDOUT, b"b1\n", 1)),
        lambda: append(tmp_path / "a", encode(STDOUT, b"a1\n", 2)),
    )
    found = script.follow(directory, "a", "b", "never", tail=0)
    assert [(name, entry.data) for name, entry in found] == [("b", b"b1"), ("a", b"a1")]


def test_several_files_are_merged_by_time_and_keep_their_own_order(tmp_path: Path, directory: int) -> None:
    for name, times in (("a", (1, 4, 2)), ("b", (3, 5))):
        (tmp_path / name).write_bytes(b"".join(encode(STDOUT, b"%d\n" % t, t) for t in times))
    found = Script().follow(directory, "a", "b")
    assert [entry.time_ns for name, entry in found if name == "a"] == [1, 4, 2]
    assert [(name, entry.time_ns) for name, entry in found][:2] == [("a", 1), ("b", 3)]
    assert len(found) == 5


def test_a_replaced_file_is_read_to_its_end_and_then_the_new_one(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(encode(STDOUT, b"one\n", 1))

    def rotate() -> None:
        append(path, encode(STDOUT, b"two\n", 2))
        path.rename(tmp_path / "a.1")
        append(path, encode(STDOUT, b"three\n", 3))

    script = Script(rotate, lambda: append(path, encode(STDOUT, b"four\n", 4)))
    assert output(script.follow(directory, "a")) == b"one\ntwo\nthree\nfour\n"


def test_what_comes_between_the_last_read_and_the_rotation_is_read(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(encode(STDOUT, b"one\n", 1))
    file = Cursor(directory, "a", None, STREAMS)
    try:
        while file.read() is not None:
            pass
        append(path, encode(STDOUT, b"two\n", 2))
        path.rename(tmp_path / "a.1")
        path.write_bytes(encode(STDOUT, b"three\n", 3))
        found = file._renewed() or []  # as if the end of the old file had just been seen
        while (entries := file.read()) is not None:
            found += entries
    finally:
        file.close()
    assert [entry.data for entry in found] == [b"two", b"three"]


def test_a_rotation_at_the_very_end_is_read_too(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(encode(STDOUT, b"one\n", 1))

    def rotate() -> None:
        path.rename(tmp_path / "a.1")
        path.write_bytes(encode(STDOUT, b"two\n", 2))

    assert output(Script(rotate).follow(directory, "a")) == b"one\ntwo\n"


def test_a_shortened_file_is_read_from_its_start(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(encode(STDOUT, b"a long first line\n", 1))
    script = Script(lambda: os.truncate(path, 0), lambda: append(path, encode(STDOUT, b"new\n", 2)))
    assert output(script.follow(directory, "a")) == b"a long first line\nnew\n"


def test_a_removed_file_ends_nothing(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(encode(STDOUT, b"one\n", 1))
    script = Script(path.unlink, lambda: append(path, encode(STDOUT, b"two\n", 2)))
    assert output(script.follow(directory, "a")) == b"one\ntwo\n"


def test_tail_since_and_streams_choose(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "a"
    lines = b"".join(encode(STDOUT if t % 2 else STDERR, b"%d\n" % t, t) for t in range(1, 9))
    path.write_bytes(lines + encode(STDOUT, b"torn\n", 9)[:-2])
    more = encode(STDOUT, b"torn\n", 9)[-2:] + encode(STDOUT, b"new\n", 10)

    def found(**choice: object) -> bytes:
        path.write_bytes(lines + encode(STDOUT, b"torn\n", 9)[:-2])
        return output(Script(lambda: append(path, more)).follow(directory, "a", **choice))  # type: ignore[arg-type]

    assert found(tail=2) == b"7\n8\ntorn\nnew\n"
    assert found(tail=2, streams=(STDERR,)) == b"6\n8\n"
    assert found(tail=0) == b"torn\nnew\n"
    assert found(since_ns=8) == b"8\ntorn\nnew\n"


def test_a_large_backlog_is_read_whole(tmp_path: Path, directory: int) -> None:
    data = b"".join(b"line %d\n" % n for n in range(30_000))
    (tmp_path / "a").write_bytes(encode(STDOUT, data, 1))
    assert output(Script().follow(directory, "a")) == data


def test_a_file_that_cannot_be_read_is_a_named_error_and_leaks_nothing(
    tmp_path: Path, directory: int
) -> None:
    (tmp_path / "a").write_bytes(encode(STDOUT, b"one\n", 1))
    (tmp_path / "dir").mkdir()
    with pytest.raises(Unavailable, match="dir"):
        Script().follow(directory, "a", "dir")


WRITER = """
import os, random, sys
sys.path[:0] = eval(sys.argv[2])
from carob.logs.writer import LogWriter
random.seed(int(sys.argv[3]))
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
writer = LogWriter(fd)
given = {"stdout": b"", "stderr": b""}
for _ in range(400):
    stream = random.choice(["stdout", "stderr"])
    data = random.choice([b"word", b"line\\n", b"\\0\\xff\\n\\n", b"x" * 20_000, b"many\\n" * 3000])
    writer.feed(stream, data)
    given[stream] += data
for stream, data in given.items():
    with open(sys.argv[1] + "." + stream, "wb") as file:
        file.write(data)
"""


def test_two_writing_processes_are_followed_to_their_last_byte(tmp_path: Path, directory: int) -> None:
    arguments = [sys.executable, "-I", "-c", WRITER]
    watch = LogWatch(directory)
    writers = [
        subprocess.Popen([*arguments, str(tmp_path / name), repr(sys.path), str(seed)])
        for seed, name in enumerate(("a", "b"))
    ]
    try:
        got = {(name, stream): bytearray() for name in "ab" for stream in (STDOUT, STDERR)}
        for name, entry in follow(
            directory,
            ["a", "b"],
            lambda: all(writer.poll() is not None for writer in writers),
            watch.wait,
        ):
            got[name, entry.stream] += entry.output
    finally:
        watch.close()
        for writer in writers:
            writer.kill()
            writer.wait()
    assert [writer.returncode for writer in writers] == [0, 0]
    for (name, stream), data in got.items():
        assert data == (tmp_path / f"{name}.{stream}").read_bytes(), (name, stream)


def test_logs_elsewhere_are_told_by_the_names_asked_for(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.log").write_bytes(b"2016-10-06T00:17:09.0Z stdout F " + name.encode() + b"\n")
    here, there = (os.open(tmp_path / name, os.O_RDONLY) for name in ("here", "there"))
    try:
        found = looks(here, ["0.log", "web.log"], lambda: True, elsewhere={"web.log": (there, "0.log")})
        told = sorted((one[0], one[1].output) for one in found if one is not None)
    finally:
        os.close(here)
        os.close(there)
    assert told == [("0.log", b"here\n"), ("web.log", b"there\n")]
