from __future__ import annotations

import pytest

from carob.cli.interaction import DetachKeys
from carob.cli.options import UsageError


@pytest.mark.parametrize(
    ("keys", "typed", "passed", "found"),
    [
        ("ctrl-p,ctrl-q", [b"abc"], b"abc", False),
        ("ctrl-p,ctrl-q", [b"a\x10\x11b"], b"a", True),
        ("ctrl-p,ctrl-q", [b"a\x10", b"\x11"], b"a", True),
        ("ctrl-p,ctrl-q", [b"a\x10", b"b"], b"a\x10b", False),
        ("ctrl-p,ctrl-q", [b"\x10\x10", b"\x11"], b"\x10", True),
        ("a,a,b", [b"aaab"], b"a", True),
        ("ctrl-@,ctrl-_", [b"\x00\x1f"], b"", True),
        ("x", [b"x"], b"", True),
    ],
)
def test_keys_are_found_wherever_reads_end(keys: str, typed: list[bytes], passed: bytes, found: bool) -> None:
    looked, out, complete = DetachKeys(keys), b"", False
    for part in typed:
        some, complete = looked.take(part)
        out += some
    assert (out, complete) == (passed, found)


@pytest.mark.parametrize("keys", ["", "ctrl-", "ctrl-P", "ctrl-pp", "ab", "ü", "a,,b"])
def test_what_is_no_key(keys: str) -> None:
    with pytest.raises(UsageError):
        DetachKeys(keys)
