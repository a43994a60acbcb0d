"""What rkt reads as a number, and what not; each line was checked against its own package."""

from __future__ import annotations

import pytest

from carob.errors import CorruptData
from carob.pod.number import parse_int


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"5", 5),
        (b"5\n", 5),
        (b" \t 5", 5),
        (b"\r5", 5),
        (b"\v5", 5),
        ("\u00a0\u2028\u30005".encode(), 5),
        (b"+5", 5),
        (b"-5", -5),
        (b"5x", 5),
        (b"7 8", 7),
        (b"0x10", 0),
        (b"010", 10),
        (b"1_0", 1),
        (b"5.7", 5),
        (b"5\xff", 5),
        (b"5\0", 5),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"0" * 100 + b"5", 5),
    ],
)
def test_numbers(raw: bytes, value: int) -> None:
    assert parse_int(raw, "pid") == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"\n5",
        b"\r\n5",
        b" \n5",
        b"x5",
        b"+",
        b"--5",
        b"- 5",
        b"\xff5",
        b"\x1f5",
        b"\x005",
        "\u200b5".encode(),
        "\u0663".encode(),
        b"9223372036854775808",
        b"-9223372036854775809",
        b"9" * 1_000_000,
    ],
)
def test_no_numbers(raw: bytes) -> None:
    with pytest.raises(CorruptData, match="pid"):
        parse_int(raw, "pid")
