"""What a prepared pod needs is on the disk before it is called prepared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carob import App, Engine
from carob.linux import syscall
from tests.root import host_view


def files_below(directory: Path) -> dict[str, tuple[int, int, int]]:
    """What is in a directory: inode, size, and when the content changed last, by path."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = os.lstat(path)
        found[str(path.relative_to(directory))] = status.st_ino, status.st_size, status.st_mtime_ns
    return found


def test_all_of_it_is_written_back_before_it_is_prepared(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_back: list[tuple[str, dict[str, tuple[int, int, int]]]] = []
    syncfs = syscall.syncfs

    def seen(fd: int) -> None:
        where = Path(os.readlink(f"/proc/self/fd/{fd}"))
        written_back.append((where.parent.name, files_below(where)))
        syncfs(fd)

    monkeypatch.setattr(syscall, "syncfs", seen)
    pod = engine.prepare(App("busybox", ["true"]))
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    assert directory.parent.name == "prepared"
    assert written_back == [("prepare", files_below(directory))]
    pod.remove()
