from __future__ import annotations

import os
from pathlib import Path

import pytest

from carob.errors import CorruptData, NotFound
from carob.pod import read_uuid_from_file, write_uuid_to_file
from tests.unit.pod.made import UUID


def test_written_without_a_line_end_over_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "uuid"
    path.write_text("something longer than an identifier is, so that a rest would show")
    write_uuid_to_file(UUID, path)
    assert path.read_bytes() == UUID.encode()
    assert read_uuid_from_file(path) == UUID


def test_a_new_file_has_rkts_mode(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_uuid_to_file(UUID, str(tmp_path / "new"))
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("space", ["\n", " \t\r\n", "\u00a0\u2003\u3000\v\f\x85"])
def test_space_around_is_not_part_of_it(tmp_path: Path, space: str) -> None:
    (tmp_path / "uuid").write_text(f"{space}{UUID}{space}", newline="")
    assert read_uuid_from_file(tmp_path / "uuid") == UUID


def test_what_is_in_it_is_not_checked(tmp_path: Path) -> None:
    (tmp_path / "uuid").write_text("cafe\n")
    assert read_uuid_from_file(tmp_path / "uuid") == "cafe"


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_uuid_from_file(tmp_path / "none")
    with pytest.raises(CorruptData):
        read_uuid_from_file(tmp_path)
    (tmp_path / "raw").write_bytes(b"\xff")
    with pytest.raises(CorruptData):
        read_uuid_from_file(tmp_path / "raw")
    with pytest.raises(NotFound):
        write_uuid_to_file(UUID, tmp_path / "none" / "uuid")
