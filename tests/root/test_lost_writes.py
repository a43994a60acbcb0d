"""A disk that loses what was written: nothing gets its name that is not there any more."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carob.errors import CarobError
from carob.image import Store, Trees
from carob.image.layers import writeback
from carob.linux.syscall import syncfs
from tests.needs import require, require_command, require_root

pytestmark = pytest.mark.usefixtures("thin")


def run(*words: object, check: bool = True) -> bool:
    return subprocess.run([str(word) for word in words], check=check, capture_output=True).returncode == 0


@pytest.fixture
def thin(tmp_path: Path) -> Iterator[Callable[[], object]]:
    """Layers on a file system that is larger than what is below it; called, it gets the room."""
    require_root()
    require_command("mkfs.ext4")
    below, layers = tmp_path / "below", tmp_path / "data" / "layers"
    below.mkdir()
    layers.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", "size=12m", "none", below)
    try:
        run("truncate", "-s", "64m", below / "disk")
        options = ("-q", "-E", "lazy_itable_init=0,nodiscard", "-O", "^has_journal", "-m", "0")
        run("mkfs.ext4", *options, below / "disk")
        require(run("mount", "-o", "loop", below / "disk", layers, check=False), "needs loop devices")
        try:
            (layers / "lost+found").rmdir()
            yield lambda: run("mount", "-o", "remount,size=100m", below)
        finally:
            run("umount", "--lazy", layers)  # also where something has it open still
    finally:
        run("umount", "--lazy", below)


def test_a_layer_whose_bytes_were_lost_meanwhile_gets_no_name(
    thin: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once that they were, and by the time of the last sync there is room again."""
    root = tmp_path / "root"
    root.mkdir()
    for number in range(4):
        (root / str(number)).write_bytes(bytes(range(1, 256)) * (10 << 20 >> 8))
    store = Store(str(tmp_path / "data"))
    image = store.import_path(str(root), name="app")
    lost: list[OSError] = []

    def write_back(fd: int) -> None:
        try:
            syncfs(fd)
        except OSError as error:
            lost.append(error)
            thin()
            raise

    monkeypatch.setattr(writeback, "syncfs", write_back)
    monkeypatch.setattr(writeback, "_INTERVAL_S", 0.005)
    trees = Trees(str(tmp_path / "data"))
    with pytest.raises(CarobError, match="unpacking app"):
        trees.ensure(image)
    assert len(lost) == 1
    assert trees.ensure(image).lower_dirs
    assert store.verify().broken == ()
