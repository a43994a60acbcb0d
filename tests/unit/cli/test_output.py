"""Tables, times and sizes for people."""

from __future__ import annotations

from carob.cli.output import ago, printable, size_text, table, time_text


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
