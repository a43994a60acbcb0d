from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable

import pytest

from carob.errors import CorruptData
from carob.image.compression import Compression, decompressed, detect

COMPRESS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.GZIP: gzip.compress,
    Compression.XZ: lzma.compress,
    Compression.BZIP2: bz2.compress,
    Compression.NONE: bytes,
}
COMPRESSED = [compression for compression in COMPRESS if compression is not Compression.NONE]
CONTENT = os.urandom(300_000) + bytes(5_000_000) + b"end"


def read_all(compression: Compression, data: bytes, *, most: int = 1 << 18) -> bytes:
    source = io.BytesIO(data)
    read = decompressed(compression, lambda size: source.read(min(size, 7000)), "thing")
    found = []
    while piece := read(most):
        assert len(piece) <= most or compression is Compression.NONE
        found.append(piece)
    return b"".join(found)


@pytest.mark.parametrize("compression", COMPRESS)
def test_it_is_told_and_read(compression: Compression) -> None:
    data = COMPRESS[compression](CONTENT)
    assert read_all(compression, data) == CONTENT
    if compression is not Compression.NONE:
        assert detect(data[:6]) is compression


@pytest.mark.parametrize("compression", COMPRESSED)
def test_members_follow_each_other_and_zeros_pad(compression: Compression) -> None:
    compress = COMPRESS[compression]
    assert (
        read_all(compression, compress(b"one") + compress(b"") + compress(b"two") + bytes(9000)) == b"onetwo"
    )


@pytest.mark.parametrize("compression", COMPRESSED)
def test_what_is_cut_or_broken_is_noticed(compression: Compression) -> None:
    data = COMPRESS[compression](CONTENT)
    for broken in (data[:-5], data[: len(data) // 2], data[:9], data + b"more", data[:-1000] + bytes(1000)):
        with pytest.raises(CorruptData, match="thing"):
            read_all(compression, broken)


def test_a_bomb_comes_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(200 << 20))
    source = io.BytesIO(bomb)
    read = decompressed(Compression.GZIP, source.read, "bomb")
    assert max(len(read(1 << 16)) for _ in range(50)) <= 1 << 16


def test_a_tar_is_no_compression() -> None:
    assert detect(b"./\0\0\0\0") is Compression.NONE
    assert detect(b"") is Compression.NONE
    assert detect(b"\x28\xb5\x2f\xfd\0\0") is Compression.ZSTD
    assert detect(b"\x50\x2a\x4d\x18\0\0") is Compression.ZSTD
