from __future__ import annotations

import gzip
import io
import os
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carob.errors import CarobError, CorruptData, InvalidInput, NotFound, OutOfResources
from carob.image.limits import ImageLimits
from carob.image.sources import tar_files as archive_files
from carob.image.sources.files import DirectoryFiles, FileReader, Files, has_file, read_file
from carob.image.sources.tar_files import ArchiveFiles
from tests.unit.image.archives import directory, hard_link, member, symlink, tar

LONG = "d/" * 80 + "file"


def names_of(format: int) -> bytes:  # noqa: A002
    return tar(
        directory("blobs"),
        member("blobs/one", b"first"),
        member("blobs/one", b"second, which counts"),
        member("./empty", b""),
        member(LONG, b"long"),
        symlink("a/link", "../blobs/one"),
        symlink("again", "a/link"),
        hard_link("hard", "blobs/one"),
        format=format,
    )


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("kind", ["plain", "gzip", "pipe"])
def test_members_are_read_in_place(tmp_path: Path, format: int, kind: str) -> None:  # noqa: A002
    path = tmp_path / "a.tar"
    data = names_of(format) if format != tarfile.USTAR_FORMAT else names_of(tarfile.GNU_FORMAT)
    writer = None
    if kind == "pipe":
        os.mkfifo(path)
        writer = threading.Thread(target=path.write_bytes, args=(data,))
        writer.start()
    else:
        path.write_bytes(gzip.compress(data) if kind == "gzip" else data)
    files = ArchiveFiles(str(path), workplace=str(tmp_path))
    try:
        for name in ("blobs/one", "./blobs//one", "a/link", "again", "hard"):
            assert read_file(files, name, 1000) == b"second, which counts"
        assert read_file(files, "empty", 1000) == b""
        assert read_file(files, LONG, 1000) == b"long"
        reader = files.open("blobs/one", 8)
        assert (reader.offset, reader.read(5), reader.read(100), reader.read(1)) == (
            8,
            b"which",
            b" counts",
            b"",
        )
        reader.close()
        assert not has_file(files, "blobs")
        with pytest.raises(NotFound, match="nothing"):
            files.size_bytes("nothing")
    finally:
        files.close()
        if writer is not None:
            writer.join()
    assert os.listdir(tmp_path) == ["a.tar"]


def test_links_without_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar(symlink("a", "b"), symlink("b", "a"), symlink("out", "../../etc/passwd")))
    files = ArchiveFiles(str(path), workplace=str(tmp_path))
    with pytest.raises(CorruptData, match="links without end"):
        files.size_bytes("a")
    with pytest.raises(NotFound):
        files.size_bytes("out")
    files.close()


GOOD = names_of(tarfile.PAX_FORMAT)


@pytest.mark.parametrize(
    "data",
    [
        b"no tar at all" * 100,
        GOOD[:700],
        GOOD[:512] + bytes([GOOD[512] ^ 1]) + GOOD[513:],
        gzip.compress(GOOD)[:-30],
    ],
    ids=["no tar", "cut off", "checksum", "gzip cut off"],
)
def test_a_broken_tar(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(CorruptData, match=r"a\.tar"):
        ArchiveFiles(str(path), workplace=str(tmp_path))
    assert os.listdir(tmp_path) == ["a.tar"]


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(bytes(1 << 20)))
    with pytest.raises(OutOfResources, match="1000") as caught:
        ArchiveFiles(str(path), workplace=str(tmp_path), limits=ImageLimits(archive_bytes=1000))
    assert "images.limits.archive_bytes" in caught.value.hint
    monkeypatch.setattr(archive_files, "MEMBERS", 3)
    path.write_bytes(GOOD)
    with pytest.raises(CorruptData, match="more than 3 members"):
        ArchiveFiles(str(path), workplace=str(tmp_path))


@given(st.binary(max_size=40), st.integers(0, len(GOOD)))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_an_index_or_a_clear_error(tmp_path: Path, change: bytes, position: int) -> None:
    path = tmp_path / "fuzz.tar"
    path.write_bytes(GOOD[:position] + change + GOOD[position + len(change) :])
    try:
        files = ArchiveFiles(str(path), workplace=str(tmp_path))
    except CarobError:
        return
    try:
        read_file(files, "again", 1000)
    except CarobError:
        pass
    finally:
        files.close()


# --- directories ----------------------------------------------------------------------------------


@pytest.fixture
def top(tmp_path: Path) -> Path:
    path = tmp_path / "top"
    (path / "blobs").mkdir(parents=True)
    (path / "blobs" / "one").write_bytes(b"0123456789")
    return path


def test_files_of_a_directory(top: Path) -> None:
    files: Files = DirectoryFiles(str(top))
    assert files.size_bytes("blobs/one") == 10
    assert read_file(files, "blobs/one", 10) == b"0123456789"
    with pytest.raises(CorruptData, match="larger than 9"):
        read_file(files, "blobs/one", 9)
    assert not has_file(files, "blobs/two")
    files.close()
    files.close()


def test_nothing_leads_out_of_a_directory(top: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (top / "link").symlink_to("blobs/one")
    (top / "directory").symlink_to("blobs")
    os.mkfifo(top / "fifo")
    files = DirectoryFiles(str(top))
    for name in ("link", "directory/one", "fifo", "blobs", "../secret", "blobs/../../secret", "blobs/one/x"):
        with pytest.raises(CorruptData):
            files.open(name)
    files.close()


def test_what_is_no_directory(top: Path) -> None:
    with pytest.raises(NotFound):
        DirectoryFiles(str(top / "nowhere"))
    with pytest.raises(InvalidInput):
        DirectoryFiles(str(top / "blobs" / "one"))


def test_a_file_that_shrinks_and_a_reader_that_is_closed(top: Path) -> None:
    files = DirectoryFiles(str(top))
    reader = files.open("blobs/one")
    (top / "blobs" / "one").write_bytes(b"012")
    assert reader.read(5) == b"012"
    with pytest.raises(CorruptData, match="shorter"):
        reader.read(5)
    reader.close()
    reader.close()
    with pytest.raises(CarobError, match="closed"):
        reader.read(1)
    files.close()


def test_an_offset_beyond_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123")
    with path.open("rb") as file:
        reader = FileReader(file.fileno(), 0, 4, "file", offset=10)
        assert (reader.offset, reader.read(10)) == (4, b"")
        reader.close()


def test_a_tar_is_not_read_to_be_indexed(tmp_path: Path) -> None:
    """A sparse terabyte: reading it would take all day."""
    path = tmp_path / "huge.tar"
    info = tarfile.TarInfo("huge")
    info.size = 1 << 40
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.seek(1 << 40, io.SEEK_CUR)
        file.write(tar(member("after", b"x")))
    files = ArchiveFiles(str(path), workplace=str(tmp_path))
    assert files.size_bytes("huge") == 1 << 40
    assert read_file(files, "after", 10) == b"x"
    files.close()
