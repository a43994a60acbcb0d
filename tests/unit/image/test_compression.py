from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
from collections.abc import Callable

import pytest

from carob.errors import CorruptData, Unsupported
from carob.image.compression import MAGIC_BYTES, Compression, decompressed, detect
from tests.unit.image.archives import member, tar

ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"


def compress_zstd(data: bytes) -> bytes:
    made: bytes = pytest.importorskip(ZSTD).compress(data)
    return made


COMPRESS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.GZIP: gzip.compress,
    Compression.ZSTD: compress_zstd,
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
        assert detect(data[:MAGIC_BYTES]) is compression


@pytest.mark.parametrize("compression", COMPRESSED)
def test_members_of_nothing_are_endured_to_a_number(compression: Compression) -> None:
    compress = COMPRESS[compression]
    full, empty = compress(b"x"), compress(b"")
    assert read_all(compression, (full + empty) * 1000) == b"x" * 1000
    with pytest.raises(CorruptData, match="parts of nothing"):
        read_all(compression, empty * 1002)


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


@pytest.fixture
def without_isal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the package is not installed."""
    monkeypatch.setitem(sys.modules, "isal", None)


@pytest.mark.usefixtures("without_isal")
def test_gzip_without_isal() -> None:
    test_it_is_told_and_read(Compression.GZIP)
    test_members_follow_each_other_and_zeros_pad(Compression.GZIP)
    test_what_is_cut_or_broken_is_noticed(Compression.GZIP)
    test_a_bomb_comes_in_small_pieces()


def test_zstd_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    data = compress_zstd(CONTENT)
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Unsupported, match="thing is compressed with zstd") as caught:
        read_all(Compression.ZSTD, data)
    assert "backports.zstd" in caught.value.hint


def test_a_window_that_takes_too_much_memory() -> None:
    zstd = pytest.importorskip(ZSTD)
    options = {zstd.CompressionParameter.window_log: 28, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    data = compressor.compress(CONTENT) + compressor.flush()
    with pytest.raises(CorruptData, match="thing"):
        read_all(Compression.ZSTD, data)


def test_skippable_frames_are_passed_over() -> None:
    frame = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    assert detect(frame[:6]) is Compression.ZSTD
    assert (
        read_all(Compression.ZSTD, frame + compress_zstd(b"one") + frame + compress_zstd(b"two")) == b"onetwo"
    )


def test_a_tar_is_no_compression() -> None:
    assert detect(b"./\0\0\0\0") is Compression.NONE
    assert detect(b"") is Compression.NONE
    assert detect(b"\x28\xb5\x2f\xfd\0\0") is Compression.ZSTD
    assert detect(b"\x50\x2a\x4d\x18\0\0") is Compression.ZSTD


def test_a_tar_whose_first_name_begins_like_bzip2() -> None:
    assert detect(tar(member("BZhotel"))) is Compression.NONE
    assert detect(bz2.compress(b"")) is Compression.BZIP2
