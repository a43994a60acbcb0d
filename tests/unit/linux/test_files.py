from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from carob.linux import files


@pytest.fixture
def directory_fd(tmp_path: Path):  # type: ignore[no-untyped-def]
    fd = os.open(tmp_path, files.OPEN_DIRECTORY)
    yield fd
    os.close(fd)


def test_reading_is_relative_and_limited(tmp_path: Path, directory_fd: int) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100_000)
    assert files.read_file("f", dir_fd=directory_fd) == b"x" * 100_000
    with pytest.raises(OSError, match="too large") as too_big:
        files.read_file("f", dir_fd=directory_fd, limit_bytes=99_999)
    assert too_big.value.errno == errno.EFBIG


def test_reading_a_fifo_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert files.read_file(str(tmp_path / "fifo")) == b""


def test_durable_write_replaces_whole_files_with_the_exact_mode(tmp_path: Path, directory_fd: int) -> None:
    (tmp_path / "f").write_text("old and longer")
    before = os.umask(0o077)
    try:
        files.write_file_durably("f", b"new", dir_fd=directory_fd, mode=0o664)
    finally:
        os.umask(before)
    assert (tmp_path / "f").read_bytes() == b"new"
    assert (tmp_path / "f").stat().st_mode & 0o7777 == 0o664
    assert os.listdir(tmp_path) == ["f"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, directory_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_text("old")

    def fail(fd: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        files.write_file_durably("f", b"new", dir_fd=directory_fd)
    assert (tmp_path / "f").read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_the_order_of_a_durable_write(
    tmp_path: Path, directory_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(fd: int) -> None:
        done.append("fsync directory" if os.fstat(fd).st_ino == tmp_path.stat().st_ino else "fsync file")
        fsync(fd)

    def watched_rename(*args: object, **kwargs: object) -> None:
        done.append("rename")
        rename(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    files.write_file_durably("f", b"new", dir_fd=directory_fd)
    assert done == ["fsync file", "rename", "fsync directory"]


def test_a_durable_write_stops_before_each_wait_for_the_disk(
    tmp_path: Path, directory_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    steps = files.write_durably_in_steps("below/f", b"new", dir_fd=directory_fd)
    next(steps)
    assert synced == []
    assert not (tmp_path / "below/f").exists()
    next(steps)
    assert len(synced) == 1
    assert (tmp_path / "below/f").read_bytes() == b"new"
    assert list(steps) == []
    assert synced[1:] == [str(tmp_path / "below")]


def test_a_durable_write_that_is_given_up_leaves_nothing(tmp_path: Path, directory_fd: int) -> None:
    steps = files.write_durably_in_steps("f", b"new", dir_fd=directory_fd)
    next(steps)
    assert len(os.listdir(tmp_path)) == 1
    steps.close()  # type: ignore[attr-defined]
    assert os.listdir(tmp_path) == []


def test_replacing_is_whole_and_asks_nothing_of_the_disk(
    tmp_path: Path, directory_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: pytest.fail("a sync"))
    (tmp_path / "below").mkdir()
    (tmp_path / "below/f").symlink_to(tmp_path / "elsewhere")
    files.replace_file("below/f", b"new", dir_fd=directory_fd, mode=0o604)
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "below/f").read_bytes() == b"new"
    assert (tmp_path / "below/f").stat().st_mode & 0o7777 == 0o604
    assert os.listdir(tmp_path / "below") == ["f"]
    with pytest.raises(FileNotFoundError):
        files.replace_file("nowhere/f", b"new", dir_fd=directory_fd)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/f").mkdir()
    with pytest.raises(IsADirectoryError):
        files.replace_file("full/f", b"new", dir_fd=directory_fd)
    assert os.listdir(tmp_path / "full") == ["f"]


def test_directories_are_made_with_what_is_missing_above(tmp_path: Path) -> None:
    files.make_directory_durably(str(tmp_path / "a/b/c"), 0o750)
    files.make_directory_durably(str(tmp_path / "a/b/c"), 0o700)
    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o750


def test_moving_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(FileExistsError):
        files.move_noreplace(str(tmp_path / "a"), str(tmp_path / "b"))
    files.move_noreplace(str(tmp_path / "a"), str(tmp_path / "c"))
    assert sorted(os.listdir(tmp_path)) == ["b", "c"]


def test_moving_never_replaces_where_the_file_system_cannot_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EINVAL, "not here")

    monkeypatch.setattr(files, "rename_noreplace", unsupported)
    test_moving_never_replaces(tmp_path)


def test_opening_beneath_follows_no_link_and_leaves_by_no_way(tmp_path: Path, directory_fd: int) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    (tmp_path / "file").touch()
    os.close(files.open_directory_beneath("in", directory_fd))
    for name in ("link", "file", "..", "in/../..", "/"):
        with pytest.raises(OSError, match=re.escape(repr(name))):
            files.open_directory_beneath(name, directory_fd)


def test_opening_beneath_crosses_no_mount() -> None:
    fd = os.open("/", files.OPEN_DIRECTORY)
    try:
        with pytest.raises(OSError, match="proc") as refused:
            files.open_directory_beneath("proc", fd)
    finally:
        os.close(fd)
    assert refused.value.errno == errno.EXDEV


def test_entries_come_with_inode_type_and_name(tmp_path: Path, directory_fd: int) -> None:
    for number in range(3000):
        (tmp_path / f"{number:040}").touch()
    raw = b"".join(files.read_entries(directory_fd))
    found = {}
    at = 0
    while at < len(raw):
        size = int.from_bytes(raw[at + 16 : at + 18], "little")
        name = raw[at + 19 : at + size].split(b"\0")[0].decode()
        found[name] = int.from_bytes(raw[at : at + 8], "little"), raw[at + 18]
        at += size
    assert found.pop(".")[1] == 4
    assert found.pop("..")[1] == 4
    assert found == {entry.name: (entry.inode(), 8) for entry in os.scandir(tmp_path)}


def test_the_type_of_a_file_system() -> None:
    fd = os.open("/proc", files.OPEN_DIRECTORY)
    try:
        assert files.file_system_type(fd) == 0x9FA0  # PROC_SUPER_MAGIC
    finally:
        os.close(fd)


def test_links_are_followed_as_the_kernel_does(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    for name, target in {
        "relative": "a/b",
        "absolute": str(tmp_path / "a"),
        "up": "a/../relative/../b/file",
        "root": "/",
        "above": "../" * 50 + str(tmp_path / "a")[1:],
        "chain": "up",
    }.items():
        (tmp_path / name).symlink_to(target)
    for name in ("relative/file", "absolute/b", "up", "chain", "root", "above/b/file", "a//b/./file/"):
        assert files.without_links(f"{tmp_path}/{name}") == os.path.realpath(f"{tmp_path}/{name}")
    (tmp_path / "loop").symlink_to("loop")
    for name, number in (("loop", errno.ELOOP), ("nothing/x", errno.ENOENT), ("a/b/file/x", errno.ENOTDIR)):
        with pytest.raises(OSError, match=os.strerror(number)):
            files.without_links(f"{tmp_path}/{name}")
    with pytest.raises(OSError, match="a link of /proc"):
        files.without_links("/proc/self/status")
