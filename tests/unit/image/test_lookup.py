"""Finding directories in stacked layers through links that want to lead out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carob.image.files.lookup import directories_at, without_links
from tests.needs import require_root


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    """Two layers, the upper one first."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for path in (lower / "data/inner", lower / "gone/inner", lower / "file-later", upper / "data/more"):
        path.mkdir(parents=True)
    for name, target in {
        "abs": "/data",
        "up": "../../../../data/inner",
        "chain": "abs/inner",
        "loop": "loop",
        "hidden": "/gone",
        "root": "/",
        "nowhere": "/not/there",
    }.items():
        (lower / name).symlink_to(target)
    (upper / "hidden").mkdir()
    (upper / "data/back").symlink_to("../abs")
    (upper / "file-later").write_text("x")
    return [str(upper), str(lower)]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/data", "data"),
        ("/abs/", "data"),
        ("/up", "data/inner"),
        ("/chain/x/y", "data/inner/x/y"),
        ("/data/back/inner", "data/inner"),
        ("/root", ""),
        ("/root/root/data/.", "data"),
        ("/nowhere/at/all", "not/there/at/all"),
        ("/hidden/x", "hidden/x"),
        ("/../../data", "data"),
    ],
)
def test_links_stay_inside(layers: list[str], path: str, found: str) -> None:
    assert without_links(layers, path.encode()) == found.encode()


def test_links_in_a_circle(layers: list[str]) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        directories_at(layers, "/loop/x")


def test_directories_are_those_that_merge(layers: list[str]) -> None:
    upper, lower = layers
    assert directories_at(layers, "/abs") == [f"{upper}/data", f"{lower}/data"]
    assert directories_at(layers, "/up") == [f"{lower}/data/inner"]
    for path in ("/data/nothing", "/file-later", "/nowhere"):
        assert directories_at(layers, path) == []


def test_what_was_deleted_is_not_found(layers: list[str]) -> None:
    require_root()
    os.mknod(f"{layers[0]}/gone", 0o20000, os.makedev(0, 0))
    os.mknod(f"{layers[0]}/abs", 0o20000, os.makedev(0, 0))
    assert directories_at(layers, "/gone/inner") == []
    assert directories_at(layers, "/abs") == []
