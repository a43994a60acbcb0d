"""The comparer finds every kind of difference, names it, and finds none where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.needs import require_root
from tests.parts import odd_tree
from tests.parts.compare_trees import differences, read_tree
from tests.parts.layer_tars import names_below, pack


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal trees."""
    left, right = tmp_path / "left", tmp_path / "right"
    (left / "sub").mkdir(parents=True)
    (left / "sub/file").write_text("content")
    os.link(left / "sub/file", left / "twin")
    (left / "other").write_text("content")
    (left / "link").symlink_to("sub")
    os.setxattr(left / "other", "user.note", b"x")
    shutil.copytree(left, right, symlinks=True)
    (right / "twin").unlink()
    os.link(right / "sub/file", right / "twin")
    for path in sorted([left, *left.rglob("*")], reverse=True):
        other = right / path.relative_to(left)
        time_ns = path.lstat().st_mtime_ns
        os.utime(other, ns=(time_ns, time_ns), follow_symlinks=False)
    assert differences(left, right) == []
    return left, right


def _relink(tree: Path) -> None:
    time_ns, top_ns = (tree / "twin").stat().st_mtime_ns, tree.stat().st_mtime_ns
    (tree / "twin").unlink()
    (tree / "twin").write_text("content")
    os.utime(tree / "twin", ns=(time_ns, time_ns))
    os.utime(tree, ns=(top_ns, top_ns))


def _rewrite(tree: Path) -> None:
    time_ns = (tree / "other").stat().st_mtime_ns
    (tree / "other").write_text("Content")
    os.utime(tree / "other", ns=(time_ns, time_ns))


def _later(tree: Path) -> None:
    time_ns = (tree / "link").lstat().st_mtime_ns + 1
    os.utime(tree / "link", ns=(time_ns, time_ns), follow_symlinks=False)


def _retarget(tree: Path) -> None:
    time_ns, top_ns = (tree / "link").lstat().st_mtime_ns, tree.stat().st_mtime_ns
    (tree / "link").unlink()
    (tree / "link").symlink_to("bus")
    os.utime(tree / "link", ns=(time_ns, time_ns), follow_symlinks=False)
    os.utime(tree, ns=(top_ns, top_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "mode": (lambda tree: (tree / "sub").chmod(0o750), {"sub: mode"}),
    "xattrs": (lambda tree: os.setxattr(tree / "other", "user.note", b"y"), {"other: xattrs"}),
    "mtime": (_later, {"link: mtime"}),
    "content": (_rewrite, {"other: content"}),
    "links": (_relink, {"sub/file: links", "twin: links"}),
    "target": (_retarget, {"link: target"}),
}


@pytest.mark.parametrize("field", CHANGES)
def test_one_change_is_one_difference(field: str, pair: tuple[Path, Path]) -> None:
    change, expected = CHANGES[field]
    change(pair[1])
    found = differences(*pair)
    assert {" ".join(line.split()[:2]) for line in found} == expected
    assert differences(*pair, ignore=[field]) == []
    names = {line.partition(":")[0].encode() for line in found}
    assert differences(*pair, skip=lambda name: name in names) == []


def test_owners_and_device_numbers_count(pair: tuple[Path, Path]) -> None:
    require_root()
    os.chown(pair[1] / "other", 1, 2)
    for number, tree in enumerate(pair):
        os.mknod(tree / "node", 0o020600, os.makedev(1, 3 + number))
        os.utime(tree / "node", ns=(0, 0))
    found = differences(*pair, skip=lambda name: name == b".")
    assert found == ["node: device 1:3 | 1:4", "other: owner 0:0 | 1:2"]


def test_what_is_on_one_side_only_and_another_type_are_said(pair: tuple[Path, Path]) -> None:
    left, right = pair
    (left / "more\n").touch()
    (right / "other").unlink()
    (right / "other").mkdir()
    found = differences(left, right, skip=lambda name: name == b".")
    assert found[0] == "more\n: only left, a file"
    assert "other: type file | directory" in found


def test_nothing_is_lost_of_odd_things_between_gnu_tar_and_itself(tmp_path: Path) -> None:
    require_root()
    tree, back = tmp_path / "tree", tmp_path / "back"
    odd_tree.lower(tree)
    kinds = {entry.type for entry in read_tree(tree).values()}
    assert kinds >= {"fifo", "character device", "block device", "symlink", "file", "directory"}
    pack(tree, [b".", *names_below(tree)], tmp_path / "tar", sparse=True)
    back.mkdir()
    options = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--same-permissions", "--warning=none"]
    command = ["tar", "-x", "-f", str(tmp_path / "tar"), "-C", str(back), *options]
    assert os.spawnvp(os.P_WAIT, "tar", command) == 0
    assert differences(tree, back) == []
