"""The record of a layer: what is unpacked is what it says, and whatever changes is found."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import NotFound
from carob.image import Store, Tree, Trees
from carob.image.layers.record import check_layer, quoted, unquoted
from carob.image.store.resolved import ResolvedImage
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
    directory("etc", mode=0o750, uid=3, gid=4, mtime=13), member("etc/old", b"old"),
    member("etc/x y%\n", b"1"), directory("etc/cron"), member("etc/cron/a", b"a"),
    member("bin/sh", b"shell" * 1000, mode=0o4755),
    hard_link("bin/ash", "bin/sh"), symlink("bin/cat", "s h\t%41"), device("null", 1, 3),
    member("fifo", None, type=tarfile.FIFOTYPE), member("late", b"x", mtime=1234567890.25),
    member("xattr", b"x", pax_headers={"SCHILY.xattr.user.a b": "=\n", "SCHILY.xattr.trusted.c": "d"}),
    member("zeros", bytes(20000)), member("caf\udce9", b"e", uid=1 << 30), symlink("link", "etc"),
    member("link/through", b"t"),
)  # fmt: skip
TOP = tar(
    member("etc/.wh.old"), member("etc/cron/.wh..wh..opq"), member("etc/cron/b", b"b"), directory("late"),
    member("implied/x", b"x"),
)  # fmt: skip


@pytest.fixture
def image(store: Store, trees: Trees, tmp_path: Path) -> ResolvedImage:
    image = store.import_path(str(layout_of(tmp_path / "layout", BASE, TOP)), name="app")
    trees.ensure(image)
    return image


def problems(trees: Trees, image: ResolvedImage) -> list[list[str]]:
    return [check_layer(trees, chain_id) for chain_id in image.chain_ids]


def layers(trees: Trees, image: ResolvedImage) -> list[Path]:
    return [Path(trees.layer_path(chain_id)) for chain_id in image.chain_ids]


def test_what_is_unpacked_is_what_the_record_says(trees: Trees, image: ResolvedImage) -> None:
    assert problems(trees, image) == [[], []]
    for chain_id in image.chain_ids:
        lines = Path(trees.record_path(chain_id)).read_bytes().splitlines()
        named = [line.partition(b"\t")[0].rsplit(b" ", 1)[1] for line in lines[1:-1] if line[:1] != b"o"]
        there = [os.fsencode(name) for name in snapshot(trees.layer_path(chain_id))]
        assert sorted(unquoted(name) for name in named) == sorted(there)


def write(path: Path) -> None:
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


CHANGES: dict[str, tuple[int, Callable[[Path], object], str]] = {
    "a bit of a file": (0, lambda top: write(top / "etc/old"), "'etc/old' has another content"),
    "zeros filled": (0, lambda top: os.truncate(top / "zeros", 20001), "'zeros' size 20000 is 20001"),
    "a mode": (0, lambda top: (top / "bin/sh").chmod(0o755), "'bin/sh' mode 4755 is 755"),
    "an owner": (0, lambda top: os.lchown(top / "bin/cat", 5, 0), "'bin/cat' owner 0 is 5"),
    "a group": (0, lambda top: os.chown(top / "etc", 3, 5), "'etc' group 4 is 5"),
    "a time": (0, lambda top: os.utime(top / "late", ns=(0, 1)), "'late' time 1234567890250000000 is 1"),
    "an attribute": (0, lambda top: os.setxattr(top / "xattr", "user.a b", b"x"), "'xattr' has other"),
    "one attribute more": (0, lambda top: os.setxattr(top / "etc", "user.x", b"x"), "'etc' has other"),
    "a file that is gone": (0, lambda top: (top / "etc/x y%\n").unlink(), r"'etc/x y%\n' is missing"),
    "a directory that is gone": (1, lambda top: removed(top / "implied"), "'implied/x' is missing"),
    "a file more": (0, lambda top: (top / "etc/cron/more").touch(), "'etc/cron/more' should not be there"),
    "a directory more": (1, lambda top: (top / "etc/dir").mkdir(), "'etc/dir' should not be there"),
    "another target": (
        0, lambda top: replaced(top / "link", lambda path: path.symlink_to("bin")), "'link' links to some",
    ),
    "another device": (
        0, lambda top: replaced(top / "null", lambda path: os.mknod(path, 0o20644, os.makedev(1, 5))),
        "'null' is another device",
    ),
    "another type": (
        0, lambda top: replaced(top / "fifo", lambda path: path.touch()), "'fifo' is of another type",
    ),
    "a file for a directory": (
        0, lambda top: replaced(top / "late", lambda path: path.mkdir()), "'late' is of another type",
    ),
    "a hard link cut": (
        0, lambda top: replaced(top / "bin/ash", lambda path: path.touch()),
        "'bin/ash' is no hard link to 'bin/sh'",
    ),
    "a whiteout gone": (1, lambda top: (top / "etc/old").unlink(), "'etc/old' is missing"),
    "a file for a whiteout": (
        1, lambda top: replaced(top / "etc/old", lambda path: path.touch()), "'etc/old' is not a whiteout",
    ),
    "no longer opaque": (
        1, lambda top: os.removexattr(top / "etc/cron", "trusted.overlay.opaque"), "'etc/cron' is not opaque",
    ),
    "newly opaque": (
        1, lambda top: os.setxattr(top / "etc", "trusted.overlay.opaque", b"y"), "'etc' is opaque",
    ),
    "the root": (0, lambda top: top.chmod(0o700), "'.' mode 755 is 700"),
}  # fmt: skip


def removed(path: Path) -> None:
    (path / "x").unlink()
    path.rmdir()


@pytest.mark.parametrize(("position", "change", "said"), CHANGES.values(), ids=CHANGES.keys())
def test_every_change_is_found(
    trees: Trees, image: ResolvedImage, position: int, change: Callable[[Path], object], said: str
) -> None:
    change(layers(trees, image)[position])
    found = problems(trees, image)
    assert any(line.startswith(said) for line in found[position]), found
    assert found[1 - position] == []


@pytest.mark.parametrize("where", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("change", ["flip", "cut", "lose a line"])
def test_a_record_that_rots_is_no_witness(
    trees: Trees, image: ResolvedImage, where: float, change: str
) -> None:
    path = Path(trees.record_path(image.chain_ids[0]))
    data = bytearray(path.read_bytes())
    position = int(len(data) * where)
    match change:
        case "flip":
            data[position] ^= 1
        case "cut":
            del data[position:]
        case _:
            lines = data.splitlines(keepends=True)
            del lines[int(len(lines) * where)]
            data = bytearray(b"".join(lines))
    path.write_bytes(data)
    assert check_layer(trees, image.chain_ids[0]) != []
    assert check_layer(trees, image.chain_ids[1]) == []


def test_a_layer_without_a_record(trees: Trees, image: ResolvedImage) -> None:
    os.unlink(trees.record_path(image.chain_ids[1]))
    with pytest.raises(NotFound, match="no record"):
        check_layer(trees, image.chain_ids[1])
    with pytest.raises(NotFound, match="no layer"):
        check_layer(trees, "sha256:" + "0" * 64)


REPLACED = {
    "a file": [member("a", b"1"), member("a", b"2")],
    "the first link": [member("a", b"1"), hard_link("b", "a"), hard_link("c", "b"), member("a", b"2")],
    "the last link": [member("a", b"1"), hard_link("b", "a"), member("b", b"2"), hard_link("c", "b")],
    "both": [member("a", b"1"), hard_link("b", "a"), member("a", b"2"), member("b", b"3")],
    "a tree": [
        directory("d"), member("d/x", b"1"), hard_link("y", "d/x"), member("d", b"2"), member("z", b"3"),
    ],
    "a tree and back": [
        directory("d"), member("d/x", b"1"), member("d", b"2"), directory("d"), member("d/x", b"3"),
    ],
    "through a link": [
        directory("r"), symlink("l", "r"), member("l/x", b"1"), member("r/x", b"2"), hard_link("l/y", "r/x"),
    ],
    "by a hard link": [member("a", b"1"), member("b", b"2"), hard_link("b", "a")],
    "links of a lost link": [
        member("a", b"1"), hard_link("b", "a"), hard_link("c", "b"), member("b", b"2"), hard_link("d", "c"),
        member("a", b"3"), hard_link("e", "d"), member("c", b"4"), hard_link("f", "a"),
    ],
    "a long name in place of a short one": [
        member("a", b"1"), hard_link("z" * 200, "a"), *[hard_link(f"l{n}", "a") for n in range(50)],
        member("a", b"2"),
    ],
    "names alike": [member("a", b"1"), member("a b", b"2"), member("a", b"3"), member("b", b"4")],
    "the word in the first line": [member("trusted", b"1"), member("trusted", b"2")],
}  # fmt: skip


@pytest.mark.parametrize("members", REPLACED.values(), ids=REPLACED.keys())
def test_what_is_replaced_leaves_no_line(
    store: Store, trees: Trees, tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes | None]]
) -> None:
    image = store.import_path(str(layout_of(tmp_path / "layout", tar(*members))), name="app")
    tree: Tree = trees.ensure(image)
    assert check_layer(trees, image.chain_ids[0]) == []
    lines = Path(trees.record_path(image.chain_ids[0])).read_bytes().splitlines()
    found = snapshot(tree.lower_dirs[0])
    assert len(lines) == len(found) + 2
    links = [name for name, entry in found.items() if entry[6] not in (None, name)]
    assert len([line for line in lines if line.startswith(b"h ")]) == len(links)


@given(st.binary(min_size=1))
def test_words_have_no_white_space(path: bytes) -> None:
    word = quoted(path)
    assert word.split() == [word]
    assert unquoted(word) == path
