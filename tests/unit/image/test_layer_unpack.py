"""Single layers, through the store: what is legal ends inside the layer, what is not leaves nothing."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from carob.errors import CarobError, CorruptData
from carob.image import Store, Tree, Trees
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

Unpack = Callable[..., Tree]


@pytest.fixture
def unpack(store: Store, trees: Trees, tmp_path: Path) -> Unpack:
    """Imports an image of the given layers and unpacks it."""

    def run(*layers: bytes, **options: object) -> Tree:
        layout = layout_of(tmp_path / "layout", *layers, **options)  # type: ignore[arg-type]
        return trees.ensure(store.import_path(str(layout), name="app"))

    return run


def assert_nothing_is_left(data: Path) -> None:
    assert [path.name for path in (data / "layers").iterdir() if not path.name.startswith(".")] == []
    assert list((data / "layers" / ".tmp").iterdir()) == []


def top(tree: Tree) -> Path:
    return Path(tree.lower_dirs[0])


def test_an_entry_below_a_link_stays_inside(unpack: Unpack) -> None:
    """As in a chroot: an absolute link begins at the layer, and ``..`` ends there."""
    tree = unpack(
        tar(
            directory("usr/lib"),
            symlink("lib", "/usr/lib"),
            symlink("up", "../../../../usr/lib"),
            member("lib/one", b"1"),
            member("up/two", b"2"),
        )
    )
    assert sorted(os.listdir(top(tree) / "usr" / "lib")) == ["one", "two"]


def test_a_parent_that_is_replaced_by_a_link(unpack: Unpack, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(CorruptData, match="link to nowhere"):
        unpack(tar(directory("a"), member("a/b", b"1"), symlink("a", str(outside)), member("a/c", b"2")))
    assert list(outside.iterdir()) == []


def test_absolute_names_lose_their_slash(unpack: Unpack) -> None:
    assert (top(unpack(tar(member("/etc/passwd", b"x")))) / "etc" / "passwd").read_bytes() == b"x"


def test_a_file_is_never_written_through_a_link(unpack: Unpack, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("safe")
    tree = unpack(
        tar(
            symlink("a", str(victim)),
            member("a", b"new", mode=0o600),
            member("first", b"first"),
            hard_link("second", "first"),
            member("second", b"second", mode=0o600),
        )
    )
    assert victim.read_text() == "safe"
    assert (top(tree) / "a").read_bytes() == b"new"
    assert (top(tree) / "first").read_bytes() == b"first"
    assert stat.S_IMODE((top(tree) / "first").stat().st_mode) == 0o644


def test_a_hard_link_does_not_change_the_mode(unpack: Unpack) -> None:
    link, _ = hard_link("b", "a")
    link.mode, link.uid = 0o4777, 1000
    tree = unpack(tar(member("a", b"x", mode=0o600), (link, None)))
    status = (top(tree) / "a").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_nlink) == (0o600, 0, 2)


def test_the_last_of_several_entries_wins(unpack: Unpack) -> None:
    tree = unpack(
        tar(
            member("a", b"1"), member("a", b"2"),
            directory("d"), member("d/x", b"x"), member("d", b"now a file"),
            member("f", b"x"), directory("f", mode=0o700), member("f/y", b"y"),
            directory("g", mode=0o700), directory("g", mode=0o711),
        )
    )  # fmt: skip
    found = {name: entry[0] for name, entry in snapshot(top(tree)).items()}
    assert found == {
        ".": "0o40755", "a": "0o100644", "d": "0o100644", "f": "0o40700", "f/y": "0o100644", "g": "0o40711",
    }  # fmt: skip
    assert (top(tree) / "a").read_bytes() == b"2"


def test_names_that_are_odd_but_legal(unpack: Unpack) -> None:
    names = ["new\nline", "back\\slash", "\x1b[31mred", " ", "-rf", "ü", "n" * 255, "caf\udce9"]
    tree = unpack(tar(*[member(name, b"x") for name in names], format=tarfile.GNU_FORMAT))
    assert sorted(os.listdir(top(tree))) == sorted(names)


def test_directories_that_no_entry_names(unpack: Unpack) -> None:
    """They take what the directory below them has; at the bottom they are root's, and always the same."""
    base = tar(directory("home", mode=0o2750, uid=7, gid=8, mtime=1000), member("home/a", b"a"))
    tree = unpack(base, tar(member("home/b", b"b"), member("new/c", b"c")))
    home, new = (top(tree) / "home").stat(), (top(tree) / "new").stat()
    assert (oct(home.st_mode), home.st_uid, home.st_gid, home.st_mtime) == ("0o42750", 7, 8, 1000)
    assert (oct(new.st_mode), new.st_uid, new.st_mtime) == ("0o40755", 0, 0)


def test_a_default_acl_does_not_spread(store: Store, trees: Trees, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "d" / "inner").mkdir(parents=True)
    (source / "d" / "file").write_bytes(b"x")
    acl = bytes.fromhex("0200000001000700ffffffff04000500ffffffff20000500ffffffff")
    os.setxattr(source / "d", "system.posix_acl_default", acl)
    lower = trees.ensure(store.import_path(str(source), name="acl")).lower_dirs[0]
    assert snapshot(lower) == snapshot(source)
    assert os.getxattr(lower + "/d", "system.posix_acl_default") == acl
    assert os.listxattr(lower + "/d/inner") == []


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=posix"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=0.0"],
    ],
)
def test_sparse_files_of_gnu_tar(unpack: Unpack, tmp_path: Path, options: list[str]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "sparse", "wb") as file:
        for position in range(0, 100 << 20, 4 << 20):  # more extents than fit into the first header
            file.seek(position)
            file.write(b"data at %d" % position)
        file.truncate(200 << 20)
    (source / "empty").touch()
    os.truncate(source / "empty", 1 << 20)
    (source / ("n" * 200)).touch()
    os.truncate(source / ("n" * 200), 1 << 20)
    command = ["tar", "-C", source, "--sparse", *options, "-cf", "-", "."]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(archive) < 4 << 20
    lower = top(unpack(archive))
    assert sorted(os.listdir(lower)) == sorted(os.listdir(source))
    for name in ("sparse", "empty", "n" * 200):
        assert snapshot(lower)[name][4] == snapshot(source)[name][4]
        assert snapshot(lower)[name][7] == snapshot(source)[name][7]
    assert (lower / "sparse").stat().st_blocks * 512 < 8 << 20


@pytest.mark.parametrize("names", ["numbers", "of another machine"])
def test_acls_of_gnu_tar(unpack: Unpack, tmp_path: Path, names: str) -> None:
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "f").write_bytes(b"x")
    access = bytes.fromhex(
        "02000000 01000600ffffffff 0200040031d40000 0200060032d40000 04000400ffffffff 0800010033d40000"
        "10000600ffffffff 20000000ffffffff"
    )
    default = bytes.fromhex("0200000001000700ffffffff04000500ffffffff20000500ffffffff")
    os.setxattr(source / "f", "system.posix_acl_access", access)
    os.setxattr(source / "d", "system.posix_acl_default", default)
    os.utime(source / "f", ns=(0, 1_234_567_890_123_456_789))
    command = ["tar", "-C", source, "--format=posix", "--acls", "--numeric-owner", "-cf", "-", "."]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    if names == "of another machine":
        with pytest.raises(CarobError, match=r"entry '\./f': an ACL with the name 'lisas'"):
            unpack(archive.replace(b"user:54321:", b"user:lisas:"))
        return
    assert b"SCHILY.acl.access" in archive
    lower = top(unpack(archive))
    assert snapshot(lower) == snapshot(source)
    assert os.getxattr(lower / "f", "system.posix_acl_access") == access


@pytest.mark.parametrize("keep", [100, 600, 1024, 1500])
def test_a_layer_that_ends_too_early(unpack: Unpack, data: Path, keep: int) -> None:
    whole = tar(member("a", b"x" * 700), member("b", b"y"))
    with pytest.raises(CorruptData, match="layer sha256:"):
        unpack(whole[:keep])
    assert_nothing_is_left(data)


def test_a_wrong_diff_id_leaves_nothing(unpack: Unpack, data: Path) -> None:
    with pytest.raises(CorruptData, match="diff id"):
        unpack(tar(member("a", b"x")), diff_ids=["sha256:" + "0" * 64])
    assert_nothing_is_left(data)


def test_a_blob_that_rots_after_its_import(store: Store, trees: Trees, data: Path, tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "layout", tar(member("a", b"x" * 5000)), compress=False)
    image = store.import_path(str(layout), name="app")
    blob = data / "images" / "blobs" / "sha256" / image.layers[0].digest.removeprefix("sha256:")
    content = bytearray(blob.read_bytes())
    content[1000] ^= 1
    blob.write_bytes(content)
    with pytest.raises(CorruptData, match="diff id"):
        trees.ensure(image)
    assert_nothing_is_left(data)
    blob.unlink()
    with pytest.raises(CarobError, match="is not in"):
        trees.ensure(image)


def test_a_layer_compressed_as_no_oci_layer_is(unpack: Unpack, data: Path) -> None:
    import lzma

    with pytest.raises(CarobError, match="compressed with xz"):
        unpack(lzma.compress(tar(member("a"))), compress=False)
    assert_nothing_is_left(data)


def test_a_layer_of_nothing(unpack: Unpack) -> None:
    assert os.listdir(top(unpack(tar()))) == []


def test_an_image_without_layers(unpack: Unpack) -> None:
    assert unpack().lower_dirs == ()


def test_a_device_node_and_set_id_bits(unpack: Unpack) -> None:
    tree = unpack(
        tar(
            device("null", 1, 3, mode=0o666, uid=3),
            member("su", b"x", mode=0o6755, uid=5, gid=6),
            member("cap", b"x", uid=5, pax_headers={"SCHILY.xattr.security.capability": CAPABILITY}),
        )
    )
    null, su = (top(tree) / "null").stat(), (top(tree) / "su").stat()
    assert (oct(null.st_mode), null.st_rdev, null.st_uid) == ("0o20666", os.makedev(1, 3), 3)
    assert (oct(su.st_mode), su.st_uid, su.st_gid) == ("0o106755", 5, 6)
    assert os.getxattr(top(tree) / "cap", "security.capability") == CAPABILITY.encode("latin-1")


# cap_net_bind_service+ep, revision 2; all its bytes are ASCII, as tarfile writes text only
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000").decode("latin-1")
