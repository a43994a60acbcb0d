"""The contents of files, one after the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carob.protocol.contents import SIZE_BYTES, pack, sizes


@given(st.lists(st.binary(max_size=100)))
def test_sizes_come_first_and_contents_follow(contents: list[bytes]) -> None:
    packed = pack(contents)
    at = SIZE_BYTES * len(contents)
    found = []
    for size in sizes(packed[:at]):
        found.append(packed[at : at + size])
        at += size
    assert found == contents
    assert at == len(packed)
