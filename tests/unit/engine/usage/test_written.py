"""What is measured often costs little, however much it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from carob.engine.usage import written
from carob.engine.usage.written import WrittenFiles


def test_files_directories_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/file").write_bytes(b"x" * 10_000)
    (tmp_path / "link").symlink_to("/etc")
    used_bytes, inodes = WrittenFiles().measure(str(tmp_path))
    assert used_bytes >= 10_000
    assert inodes == 4
    assert WrittenFiles().measure(str(tmp_path / "nothing")) == (0, 0)


def test_what_took_long_is_told_for_twenty_times_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    looks = 0

    def measure(directory: str) -> tuple[int, int]:
        nonlocal now_s, looks
        now_s += 2.0
        looks += 1
        return looks, 0

    monkeypatch.setattr(written, "monotonic", lambda: now_s)
    monkeypatch.setattr(written, "_measure", measure)
    files = WrittenFiles()
    assert files.measure("/a") == (1, 0)
    now_s += 39.0
    assert files.measure("/a") == (1, 0)
    assert files.measure("/b") == (2, 0)
    now_s += 2.0
    assert files.measure("/a") == (3, 0)
