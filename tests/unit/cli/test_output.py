"""Tables, times and sizes for people."""

from __future__ import annotations

import os
import pty

import pytest

from carob.cli.output import ago, printable, size_text, table, time_text, write, write_bytes
from carob.cli.uuids import each
from carob.errors import NotFound, OutOfResources


def test_tables_are_aligned_and_harmless() -> None:
    rows = [["a", "two\nlines", "z"], ["bbbb", "", "y"]]
    assert table(("K", "VALUE", "E"), rows).splitlines() == [
        "K     VALUE       E",
        "a     two; lines  z",
        "bbbb              y",
    ]
    assert "\x1b" not in table(("K",), [["\x1b[31m"]])
    assert table(("K",), [], with_legend=False) == ""
    assert table(("K",), []) == "K\n"


def test_words_stay_on_one_line() -> None:
    assert printable("one\ntwo\n") == "one; two"
    assert printable("\x07bell") == "\\x07bell"
    assert printable("grüße") == "grüße"


def test_times_and_sizes() -> None:
    assert time_text(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123Z"
    assert time_text(None) == ""
    second = 1_000_000_000
    assert [
        ago(100_000 * second - back, 100_000 * second) for back in (0, second, 61 * second, 90_000 * second)
    ] == [
        "just now",
        "1 second ago",
        "1 minute ago",
        "1 day ago",
    ]
    assert ago(2 * second, second) == "just now"
    assert [size_text(size) for size in (0, 1023, 1536, 5 << 30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]


def test_what_is_no_unicode_is_written_all_the_same(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write("\udcff")
    write("\ud800\n")
    assert capfdbinary.readouterr().out == b"\xff\n\\ud800\n"


def test_a_stream_that_cannot_be_written_is_named() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OutOfResources, match="standard output cannot be written: No space left"):
            write_bytes(b"x", full)
    finally:
        os.close(full)


def test_a_terminal_that_is_gone_is_a_broken_pipe() -> None:
    ours, theirs = pty.openpty()
    os.close(ours)
    try:
        with pytest.raises(BrokenPipeError):
            write_bytes(b"x", theirs)
    finally:
        os.close(theirs)


def test_each_goes_on_where_one_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def act(name: str) -> str:
        if name == "b":
            raise NotFound("there is no b")
        return name

    assert each(["a", "b", "c"], act) == 125
    assert tuple(capfd.readouterr()) == ("a\nc\n", "carob: there is no b\n")


def test_each_does_everything_even_where_nothing_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(text: str) -> None:
        raise OutOfResources(f"no room for {text}")

    monkeypatch.setattr("carob.cli.uuids.write", write)
    done: list[str] = []

    def act(name: str) -> str:
        done.append(name)
        return name

    with pytest.raises(OutOfResources, match="no room for a"):
        each(["a", "b", "c"], act)
    assert done == ["a", "b", "c"]
