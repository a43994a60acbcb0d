"""Stacks of layers: what overlayfs shows, what a plain copy gives and what umoci unpacks are one tree."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from carob.errors import InvalidInput
from carob.image import Store, Tree, Trees
from tests.needs import ROOT, require_command
from tests.unit.image.archives import (
    device,
    directory,
    hard_link,
    layout_of,
    member,
    snapshot,
    symlink,
    tar,
)

BASE = tar(
    directory("./", mtime=10),
    directory("bin", mtime=11),
    member("bin/sh", b"shell", mode=0o755),
    member("bin/su", b"su", mode=0o4755),
    hard_link("bin/ash", "bin/sh"),
    symlink("bin/cat", "sh", mtime=12),
    directory("etc", mode=0o750, uid=3, gid=4, mtime=13),
    member("etc/passwd", b"root", mtime=1.25),
    member("etc/old", b"old"),
    directory("etc/cron", mtime=14),
    member("etc/cron/a", b"a"),
    directory("var/cache", mtime=15),
    member("var/cache/x", b"x"),
    directory("was-directory"),
    member("was-directory/x", b"x"),
    member("was-file", b"x"),
    device("null", 1, 3, mode=0o666),
    member("attributes", b"x", pax_headers={"SCHILY.xattr.user.carob": "ü="}),
    member("long/" + "n" * 200 + "/" + "m" * 100, b"long"),
)
MIDDLE = tar(
    directory("etc", mode=0o755, mtime=20),
    member("etc/.wh.old"),
    member("etc/passwd", b"root and more", mtime=21),
    member("etc/cron/b", b"b"),
    member("var/cache/.wh..wh..opq"),
    member("var/cache/y", b"y"),
    member("was-directory", b"now a file"),
    member("var/cache/.wh.x"),
    member(".wh.was-file"),
    directory("was-file", mtime=22),
    member("was-file/inside", b"x"),
    member("bin/.wh.ash"),
    member("nowhere/.wh.nothing"),
)
TOP = tar(
    directory("was-directory", mtime=30),
    member("was-directory/new", b"new"),
    member("etc/cron/.wh.a"),
    member("etc/old", b"is back"),
    member("var/.wh.cache"),
)


@pytest.fixture
def tree(store: Store, trees: Trees, tmp_path: Path) -> Tree:
    layout = layout_of(tmp_path / "layout", BASE, MIDDLE, TOP)
    return trees.ensure(store.import_path(str(layout), name="app"))


SHOW = """
import os, pickle, subprocess, sys
from tests.unit.image.archives import snapshot
lower, target = sys.argv[1:]
subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={lower}", "overlay", target], check=True)
sys.stdout.buffer.write(pickle.dumps(snapshot(target)))
"""


def overlay_shows(tree: Tree, mount_point: Path) -> dict[str, tuple[object, ...]]:
    """What overlayfs shows of the layers, mounted in a mount namespace that ends with the process."""
    mount_point.mkdir()
    lower = ":".join(tree.lower_dirs)
    command = ["unshare", "--mount", "--propagation=private", sys.executable, "-c", SHOW, lower, mount_point]
    run = subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    shown: dict[str, tuple[object, ...]] = pickle.loads(run.stdout)
    return shown


def test_the_merged_tree_is_what_the_layers_say(tree: Tree, tmp_path: Path) -> None:
    tree.copy_to(str(tmp_path / "copy"))
    copy = tmp_path / "copy"
    files = {name for name, entry in snapshot(copy).items() if str(entry[0]).startswith("0o10")}
    assert files == {
        "attributes", "bin/sh", "bin/su", "etc/cron/b", "etc/old", "etc/passwd", "was-file/inside",
        "long/" + "n" * 200 + "/" + "m" * 100, "was-directory/new",
    }  # fmt: skip
    assert not (copy / "var" / "cache").exists()
    assert not (copy / "nowhere").exists()


def test_overlayfs_shows_what_a_copy_has(tree: Tree, tmp_path: Path) -> None:
    require_command("unshare")
    tree.copy_to(str(tmp_path / "copy"))
    assert overlay_shows(tree, tmp_path / "mnt") == snapshot(tmp_path / "copy")


def test_umoci_unpacks_the_same(store: Store, trees: Trees, data: Path, tmp_path: Path) -> None:
    """umoci is another writer of trees, and reads carob's own store here."""
    require_command("umoci")
    layout = layout_of(tmp_path / "layout", BASE, MIDDLE, TOP)
    tree = trees.ensure(store.import_path(str(layout), name="app"))
    tree.copy_to(str(tmp_path / "copy"))
    bundle = tmp_path / "bundle"
    command = ["umoci", "unpack", "--image", f"{data}/images:app:latest", bundle]
    subprocess.run(command, check=True, capture_output=True)
    ours, theirs = snapshot(tmp_path / "copy"), snapshot(bundle / "rootfs")
    # The root's time is the base's here; umoci, which writes layers over each other, leaves the present
    # there, and in directories that no entry names.
    for name in (".", "long", "long/" + "n" * 200, "var"):
        ours[name], theirs[name] = ours[name][:5] + ours[name][6:], theirs[name][:5] + theirs[name][6:]
    assert ours == theirs


def test_an_opaque_root_hides_all_that_is_below(store: Store, trees: Trees, tmp_path: Path) -> None:
    top = tar(member(".wh..wh..opq"), directory("etc", mtime=5), member("etc/new", b"x"))
    layout = layout_of(tmp_path / "layout", BASE, top)
    tree = trees.ensure(store.import_path(str(layout), name="app"))
    tree.copy_to(str(tmp_path / "copy"))
    assert sorted(snapshot(tmp_path / "copy")) == [".", "etc", "etc/new"]
    assert overlay_shows(tree, tmp_path / "mnt") == snapshot(tmp_path / "copy")


def test_a_whiteout_in_a_directory_that_hides_all_anyway(store: Store, trees: Trees, tmp_path: Path) -> None:
    """Overlayfs would list it as a broken file: there is nothing to merge with."""
    top = tar(member("etc/cron/.wh.a"), member("etc/.wh..wh..opq"), member("etc/new", b"x"))
    tree = trees.ensure(store.import_path(str(layout_of(tmp_path / "layout", BASE, top)), name="app"))
    tree.copy_to(str(tmp_path / "copy"))
    shown = overlay_shows(tree, tmp_path / "mnt")
    assert shown == snapshot(tmp_path / "copy")
    assert sorted(name for name in shown if name.startswith("etc")) == ["etc", "etc/new"]


def test_layers_are_shared_by_images(store: Store, trees: Trees, data: Path, tmp_path: Path) -> None:
    first = trees.ensure(store.import_path(str(layout_of(tmp_path / "1", BASE, MIDDLE)), name="one"))
    second = trees.ensure(store.import_path(str(layout_of(tmp_path / "2", BASE, TOP)), name="two"))
    assert first.lower_dirs[1] == second.lower_dirs[1]
    assert first.tree_id != second.tree_id
    assert trees.get(second.tree_id) == second


def test_a_copy_into_a_directory_in_use_is_refused(tree: Tree, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").touch()
    with pytest.raises(InvalidInput, match="not empty"):
        tree.copy_to(str(target))
    assert os.listdir(target) == ["mine"]


def test_a_plain_copy_keeps_holes_and_links(store: Store, trees: Trees, rootfs: Path, tmp_path: Path) -> None:
    with open(rootfs / "sparse", "wb") as file:
        file.seek(32 << 20)
        file.write(b"end")
        file.truncate(64 << 20)
    trees.ensure(store.import_path(str(rootfs), name="busybox")).copy_to(str(tmp_path / "copy"))
    assert snapshot(tmp_path / "copy") == snapshot(rootfs)
    assert (tmp_path / "copy" / "sparse").stat().st_blocks * 512 < 1 << 20
