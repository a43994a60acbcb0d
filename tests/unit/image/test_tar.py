"""The tar reader and writer against the standard library's, and against mutilated archives."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carob.errors import CarobError, CorruptData, Unsupported
from carob.image.tar.entry import Entry, EntryType
from carob.image.tar.header import number, pax_records, pax_time_ns
from carob.image.tar.limits import LIMITS, UnpackLimits
from carob.image.tar.reader import TarReader
from carob.image.tar.writer import END_OF_ARCHIVE, encode_header, padding
from tests.unit.image.archives import directory, hard_link, member, symlink, tar


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for position in range(0, len(data), size):
        yield data[position : position + size]


def read_all(
    data: bytes, *, piece_bytes: int = 4096, limits: UnpackLimits = LIMITS
) -> list[tuple[Entry, bytes]]:
    parts = pieces(data, piece_bytes)
    reader = TarReader(lambda: next(parts, b""), "archive", limits=limits)
    return [(entry, b"".join(bytes(piece) for piece in reader.data())) for entry in reader]


def write(entry: Entry, content: bytes = b"") -> bytes:
    return encode_header(entry) + content + padding(len(content)) + END_OF_ARCHIVE


names = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name and not name.endswith(b"/"))
owners = st.one_of(st.integers(0, 70_000), st.integers(0, (1 << 32) - 2))
entries = st.builds(
    Entry,
    path=names,
    type=st.sampled_from([EntryType.FILE, EntryType.SYMLINK, EntryType.HARD_LINK, EntryType.FIFO]),
    mode=st.integers(0, 0o7777),
    uid=owners,
    gid=owners,
    mtime_ns=st.integers(-(10**19), 10**20),
    link_target=names,
    xattrs=st.dictionaries(
        st.text(st.characters(codec="ascii", exclude_characters="=\0"), min_size=1, max_size=40).map(
            lambda name: "user." + name
        ),
        st.binary(max_size=200),
        max_size=4,
    ),
)


@given(entry=entries, content=st.binary(max_size=2000), piece_bytes=st.integers(1, 3000))
def test_what_is_written_is_read(entry: Entry, content: bytes, piece_bytes: int) -> None:
    if entry.type is not EntryType.FILE:
        content = b""
    fields = {name: getattr(entry, name) for name in Entry.__slots__}
    if entry.type in (EntryType.FILE, EntryType.FIFO):
        fields["link_target"] = b""
    entry = Entry(**{**fields, "size_bytes": len(content), "real_size_bytes": len(content)})
    assert read_all(write(entry, content), piece_bytes=piece_bytes) == [(entry, content)]


@given(entry=entries)
def test_the_standard_library_reads_what_is_written(entry: Entry) -> None:
    # tarfile keeps text only, and times as floats
    archive = tarfile.open(fileobj=io.BytesIO(write(entry)))
    with archive:
        (info,) = archive.getmembers()
    assert info.name == entry.path.decode("utf-8", "surrogateescape").rstrip("/")
    assert (info.mode, info.uid, info.gid) == (entry.mode, entry.uid, entry.gid)
    assert abs(info.mtime - entry.mtime_ns / 1e9) <= abs(entry.mtime_ns / 1e9) * 1e-9 + 1e-6


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_the_standard_library_writes_is_read(format: int) -> None:  # noqa: A002
    long = "/".join(["d" * 60] * 3) if format == tarfile.USTAR_FORMAT else "/".join(["d" * 60] * 8)
    archive = tar(
        directory("etc", mode=0o750, uid=10, mtime=5),
        member("etc/a", b"a" * 1000, mode=0o4755, gid=11),
        member(long, b"long"),
        symlink("s", "../target"),
        hard_link("h", "etc/a"),
        format=format,
    )
    found = read_all(archive)
    assert [(entry.path, entry.type, content) for entry, content in found] == [
        (b"etc/", EntryType.DIRECTORY, b""),
        (b"etc/a", EntryType.FILE, b"a" * 1000),
        (long.encode(), EntryType.FILE, b"long"),
        (b"s", EntryType.SYMLINK, b""),
        (b"h", EntryType.HARD_LINK, b""),
    ]
    assert (found[0][0].mode, found[0][0].uid, found[0][0].mtime_ns) == (0o750, 10, 5_000_000_000)
    assert (found[1][0].mode, found[1][0].gid) == (0o4755, 11)
    assert [entry.link_target for entry, _ in found[3:]] == [b"../target", b"etc/a"]


def test_large_numbers_in_base_256() -> None:
    archive = tar(member("a", uid=1 << 30, mtime=-5), format=tarfile.GNU_FORMAT)
    ((entry, _),) = read_all(archive)
    assert (entry.uid, entry.mtime_ns) == (1 << 30, -5_000_000_000)
    assert number(b"\x80\0\0\x01\0") == 256
    assert number(b"\xff" * 8) == -1


def test_a_global_header_is_passed_over_as_go_does() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", pax_headers={"comment": "x", "path": "y"}) as archive:
        archive.addfile(tarfile.TarInfo("a"))
    assert [entry.path for entry, _ in read_all(buffer.getvalue())] == [b"a"]


def test_a_size_on_a_link_means_nothing() -> None:
    """Go's reader takes it so; another reading would see other files."""
    link, _ = hard_link("b", "a")
    link.size = 512
    archive = tar(member("a", b"x"), (link, None), member("c", b"c"))
    assert [entry.path for entry, _ in read_all(archive)] == [b"a", b"b", b"c"]


def test_the_end_is_the_end() -> None:
    archive = tar(member("a"))
    assert [entry.path for entry, _ in read_all(archive + tar(member("b")))] == [b"a"]
    assert [entry.path for entry, _ in read_all(archive[: -tarfile.RECORDSIZE + 512])] == [b"a"]
    assert read_all(b"") == []


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"x" * 512, CorruptData),
        (b"x" * 100, CorruptData),
        (tar(member("a"))[:511], CorruptData),
        (tar(member("a"))[:512] + bytes(512) + b"x" * 512, CorruptData),
        (tar(member("a", b"x" * 600))[:1024], CorruptData),
        (tar(member("a", pax_headers={"mtime": "1e5"})), CorruptData),
        (tar(member("a", pax_headers={"uid": "-1"})), CorruptData),
        (tar(member("a", pax_headers={"GNU.sparse.numblocks": "1"})), CorruptData),
        (tar(member("a", pax_headers={"GNU.sparse.map": "5,1,0,1", "GNU.sparse.size": "9"})), CorruptData),
        (tar(member("a", pax_headers={"GNU.sparse.map": "0,9", "GNU.sparse.size": "5"})), CorruptData),
        (tar(member("a", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})), CorruptData),
        (tar(member("a", pax_headers={"GNU.sparse.major": "2"})), Unsupported),
        (tar(member("a", b"x", type=b"M")), Unsupported),
        (tar(member("n" * (2 << 20)), format=tarfile.GNU_FORMAT), CorruptData),
        (tar(member("a", pax_headers={"comment": "x" * (2 << 20)})), CorruptData),
    ],
)
def test_broken_archives(data: bytes, kind: type[CarobError]) -> None:
    with pytest.raises(kind, match=r"^archive") as caught:
        read_all(data)
    assert len(caught.value.message) < 500


def test_too_many_entries() -> None:
    with pytest.raises(CorruptData, match="more than 3 entries"):
        read_all(tar(*[member(str(count)) for count in range(4)]), limits=UnpackLimits(entries=3))


@pytest.mark.parametrize(
    "record", [b"5 a=", b"99 a=b\n", b"x a=b\n", b"6 ab=\n ", b"4 =\n", b"0 a=b\n", b"-6 a=b\n", b"6"]
)
def test_broken_pax_records(record: bytes) -> None:
    with pytest.raises(CorruptData):
        pax_records(record, "x")


@given(st.integers(-(10**18), 10**18))
def test_times_to_the_nanosecond(time_ns: int) -> None:
    sign = "-" if time_ns < 0 else ""
    text = f"{sign}{abs(time_ns) // 10**9}.{abs(time_ns) % 10**9:09}"
    assert pax_time_ns(text.encode(), "x") == time_ns


SEEDS = [
    tar(directory("a"), member("a/b", b"x" * 700), symlink("c", "d" * 120), hard_link("e", "a/b")),
    tar(member("n" * 150, b"x", uid=1 << 30), format=tarfile.GNU_FORMAT),
    tar(
        member("a", b"12", pax_headers={"GNU.sparse.map": "5,1,8,1", "GNU.sparse.size": "9", "mtime": "1.5"})
    ),
]


@settings(max_examples=400)
@given(seed=st.sampled_from(SEEDS), random_seed=st.integers(0, 1 << 32), count=st.integers(1, 8))
def test_mutilated_archives_end_in_errors_of_carob_or_not_at_all(
    seed: bytes, random_seed: int, count: int
) -> None:
    """Whatever is changed, with checksums that fit again: entries come out, or an error of carob's."""
    chooser = random.Random(random_seed)
    data = bytearray(seed)
    for _ in range(count):
        data[chooser.randrange(len(data))] = chooser.choice((0, 0x20, 0x2F, 0x30, 0x37, 0x39, 0x80, 0xFF))
    for start in range(0, len(data) - 511, 512):
        if data[start + 257 : start + 262] == b"ustar":
            data[start + 148 : start + 156] = b" " * 8
            data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    try:
        for entry, content in read_all(bytes(data)):
            assert len(content) == entry.size_bytes
            assert b"\0" not in entry.path
            for offset, length in entry.extents or ():
                assert 0 <= offset <= offset + length <= entry.real_size_bytes
    except CarobError:
        pass
