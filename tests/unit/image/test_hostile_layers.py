"""Hostile layers: each is refused by an error that names it, or ends harmlessly inside its directory.

Whatever happens, nothing outside the layer's directory changes, and nothing half-done is kept.
"""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carob.errors import CarobError, CorruptData, OutOfResources, Unsupported
from carob.image import Store, Tree, Trees
from carob.image.tar.limits import UnpackLimits
from tests.unit.image.archives import (
    device,
    digest,
    directory,
    hard_link,
    layout_of,
    member,
    snapshot,
    symlink,
    tar,
)

Member = tuple[tarfile.TarInfo, bytes | None]
Unpack = Callable[..., Tree]

BASE = tar(
    directory("bin"),
    member("bin/sh", b"sh"),
    directory("etc", mode=0o750),
    member("etc/passwd", b"root"),
    symlink("out", "/etc"),
)
REFUSED = (CorruptData, Unsupported, OutOfResources)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory beside the store that must stay as it is, as must the host's own files."""
    victim = tmp_path / "outside"
    (victim / "d").mkdir(parents=True)
    (victim / "file").write_text("safe")
    (victim / "file").chmod(0o640)
    os.chown(victim / "file", 1, 2)
    (victim / "d").chmod(0o700)
    before = snapshot(victim)
    yield victim
    assert snapshot(victim) == before
    passwd = os.lstat("/etc/passwd")
    assert (stat.S_IMODE(passwd.st_mode), passwd.st_uid) == (0o644, 0)


@pytest.fixture
def unpack(store: Store, trees: Trees, tmp_path: Path, outside: Path) -> Unpack:
    """Imports an image of the given layers and unpacks it."""

    def run(*layers: bytes, **options: object) -> Tree:
        layout = layout_of(tmp_path / "layout", *layers, **options)  # type: ignore[arg-type]
        return trees.ensure(store.import_path(str(layout), name="app"))

    return run


def assert_nothing_half_done(data: Path) -> None:
    layers = [path for path in (data / "layers").iterdir() if not path.name.startswith(".")]
    assert len(layers) <= 1  # the base, which is whole where it was quicker
    assert all(sorted(os.listdir(layer)) == ["bin", "etc", "out"] for layer in layers)
    assert list((data / "layers" / ".tmp").iterdir()) == []


def assert_refused(
    unpack: Unpack, data: Path, layer: bytes, match: str = "", **options: object
) -> CarobError:
    with pytest.raises(REFUSED, match="layer sha256:") as caught:
        unpack(BASE, layer, **options)
    said = str(caught.value) + caught.value.hint
    assert said.isprintable(), said
    assert len(said) < 700
    assert match in said
    assert_nothing_half_done(data)
    return caught.value


def top(tree: Tree) -> Path:
    return Path(tree.lower_dirs[0])


def block_device(name: str, major: int, minor: int) -> Member:
    return member(name, None, type=tarfile.BLKTYPE, devmajor=major, devminor=minor)


HOSTILE: dict[str, tuple[list[Member], str]] = {
    "dotdot": ([member("a/../../outside", b"x")], "'..'"),
    "dotdot at the end": ([directory("a/..")], "'..'"),
    "nothing but dotdot": ([directory("..")], "'..'"),
    "dotdot in a whiteout": ([member("../.wh.outside")], "'..'"),
    "dotdot in a hard link": ([hard_link("p", "../../../../../etc/passwd")], "'..'"),
    "hard link to an absolute path": ([hard_link("p", "/etc/shadow")], "does not have"),
    "hard link to the layer below": ([hard_link("p", "bin/sh")], "does not have"),
    "hard link through a link": ([symlink("etc", "/etc"), hard_link("p", "etc/shadow")], "does not have"),
    "hard link to a directory": ([directory("a"), hard_link("b", "a")], "directory"),
    "hard link to the root": ([hard_link("b", "./")], "hard link"),
    "hard link to nothing": ([hard_link("b", "")], "hard link"),
    "hard link into what it replaces": ([directory("a"), member("a/b"), hard_link("a", "a/b")], "entry 'a'"),
    "hard link to a whiteout": ([member(".wh.bin"), hard_link("etc", "bin")], "does not have"),
    "hard link to a whiteout's name": ([member(".wh.bin"), hard_link("etc", ".wh.bin")], "hard link"),
    "device 0/0": ([device("gone", 0, 0)], "whiteout"),
    "block device 0/0": ([block_device("gone", 0, 0)], "whiteout"),
    "a device that cannot be": ([device("gone", 1 << 12, 0)], "device number"),
    "overlay attribute": (
        [directory("a", pax_headers={"SCHILY.xattr.trusted.overlay.redirect": "/b"})], "overlayfs's own",
    ),
    "opaque by attribute": (
        [directory("etc", pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"})], "overlayfs's own",
    ),
    "metacopy": (
        [member("a", b"", pax_headers={"SCHILY.xattr.trusted.overlay.metacopy": "x"})], "overlayfs's own",
    ),
    "userxattr attribute": (
        [directory("a", pax_headers={"SCHILY.xattr.user.overlay.opaque": "y"})], "overlayfs's own",
    ),
    "userxattr whiteout": (
        [member("a", b"", pax_headers={"SCHILY.xattr.user.overlay.whiteout": "y"})], "overlayfs's own",
    ),
    "an attribute without a name": ([member("a", pax_headers={"SCHILY.xattr.": "y"})], "without a name"),
    "NUL in an attribute": ([member("a", pax_headers={"SCHILY.xattr.user.a\0b": "y"})], "NUL"),
    "an attribute too long": ([member("a", pax_headers={"SCHILY.xattr.user.a": "y" * 70_000})], "70000"),
    "an attribute with no room": (
        [member("a", pax_headers={"SCHILY.xattr.user.a": "y" * 65_000})], "attribute 'user.a'",
    ),
    "too many attributes": (
        [member("a", pax_headers={f"SCHILY.xattr.user.{n}": "y" for n in range(300)})], "more than",
    ),
    "a broken capability": (
        [member("a", pax_headers={"SCHILY.xattr.security.capability": "x"})], "entry 'a'",
    ),
    "a broken ACL": ([member("a", pax_headers={"SCHILY.acl.access": "user::rwz"})], "ACL"),
    "NUL in a name": ([member("a", pax_headers={"path": "a\0b"})], "NUL"),
    "NUL in a link": ([symlink("a", "b", pax_headers={"linkpath": "a\0b"})], "NUL"),
    "a link to nothing": ([symlink("a", "")], "entry 'a'"),
    "a link too long": ([symlink("a", "t" * 5000)], "entry 'a'"),
    "whiteout of nothing": ([member("a/.wh.")], "a whiteout of no file"),
    "whiteout of the directory": ([member("a/.wh..")], "a whiteout of no file"),
    "whiteout of the parent": ([member("a/.wh...")], "a whiteout of no file"),
    "whiteout of the root's parent": ([member(".wh...")], "a whiteout of no file"),
    "file as a parent": ([member("a", b"x"), member("a/b", b"y")], "'a' is a file"),
    "device as a parent": ([device("a", 1, 3), member("a/b", b"y")], "'a' is a file"),
    "link to nowhere as a parent": ([symlink("a", "/nowhere"), member("a/passwd", b"x")], "link to nowhere"),
    "link to itself as a parent": ([symlink("a", "a"), member("a/b", b"x")], "entry 'a/b'"),
    "links in a circle": ([symlink("a", "b/x"), symlink("b", "a/y"), directory("a/c")], "entry 'a/c/'"),
    "too many links": (
        [symlink(f"l{n}", f"l{n + 1}") for n in range(50)] + [directory("l50"), member("l0/a")],
        "entry 'l0/a'",
    ),
    "the root as a file": ([member("./", b"x", type=tarfile.REGTYPE)], "root of a layer"),
    "the root as a link": ([symlink("/", "etc")], "root of a layer"),
    "the root as a device": ([device(".", 1, 3)], "root of a layer"),
    "a long name": ([member("n" * 256, b"x")], "a name of more than 255"),
    "a long path": ([member("/".join(["directory"] * 600), b"x")], "5999 bytes"),
    "a deep path": ([member("/".join("d" * 300), b"x")], "parts"),
    "an unknown type": ([member("a", None, type=b"V")], "tar entry type 'V'"),
    "an owner that is none": ([member("a", pax_headers={"uid": "4294967295"})], "owner out of range"),
    "an owner beyond all": ([member("a", pax_headers={"gid": "9" * 18})], "owner out of range"),
    "a size that is negative": ([member("a", pax_headers={"size": "-1"})], "number"),
    "a size beyond the end": ([member("a", b"x", pax_headers={"size": "99999999"})], "ends in the middle"),
    "a gigantic size": ([member("a", b"x", pax_headers={"size": str(1 << 62)})], "ends in the middle"),
    "a size beyond all": ([member("a", b"x", pax_headers={"size": str(1 << 63)})], "out of range"),
    "a sparse file beyond all": (
        [member("a", b"x", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 62)})],
        "entry 'a'",
    ),
    "a sparse file out of order": (
        [member("a", b"12", pax_headers={"GNU.sparse.map": "5,1,0,1", "GNU.sparse.size": "9"})], "sparse",
    ),
    "a time that is none": ([member("a", pax_headers={"mtime": "noon"})], "time"),
    "a time out of range": ([member("a", pax_headers={"mtime": "9" * 19})], "time"),
    "escapes in a name": ([member("\x1b[31m\n/../x")], "'..'"),
    "bytes that are no text": ([member("\udce9\udcff/../x")], "'..'"),
}  # fmt: skip


@pytest.mark.parametrize(("members", "match"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_refused(unpack: Unpack, data: Path, members: list[Member], match: str) -> None:
    assert_refused(unpack, data, tar(*members), match)


# --- harmless inside ------------------------------------------------------------------------------


def test_absolute_names_lose_their_slash(unpack: Unpack) -> None:
    tree = unpack(tar(member("/etc/passwd", b"x"), member("//etc//./shadow", b"y")))
    assert (top(tree) / "etc" / "passwd").read_bytes() == b"x"
    assert (top(tree) / "etc" / "shadow").read_bytes() == b"y"


def test_entries_below_links_stay_inside(unpack: Unpack, outside: Path) -> None:
    """As in a chroot: an absolute link begins at the layer, and ``..`` ends there."""
    inside = str(outside).lstrip("/")
    tree = unpack(
        tar(
            directory(inside),
            symlink("absolute", str(outside)),
            symlink("up", "../../../../../../.." + str(outside)),
            member("absolute/one", b"1"),
            member("up/two", b"2"),
            directory("absolute/d", mode=0o777),
            hard_link("absolute/three", "up/one"),
        )
    )
    assert sorted(os.listdir(top(tree) / inside)) == ["d", "one", "three", "two"]


def test_magic_links_lead_nowhere(unpack: Unpack, data: Path) -> None:
    for target in ("/proc/self/root", "/proc/self/cwd", "/proc/self/fd/0"):
        assert_refused(unpack, data, tar(symlink("a", target), member("a/b", b"x")), "link to nowhere")


def test_a_parent_that_is_replaced_by_a_link(unpack: Unpack, data: Path, outside: Path) -> None:
    members = [directory("a"), member("a/b", b"1"), symlink("a", str(outside)), member("a/c", b"2")]
    assert_refused(unpack, data, tar(*members), "link to nowhere")


def test_a_parent_that_is_a_link_in_the_layer_below(unpack: Unpack) -> None:
    tree = unpack(BASE, tar(member("out/passwd", b"mine"), member("out/.wh.shadow")))
    assert stat.S_ISDIR(os.lstat(top(tree) / "out").st_mode)
    assert os.listdir(top(tree) / "out") == ["passwd"]
    assert os.readlink(Path(tree.lower_dirs[1]) / "out") == "/etc"


def test_modes_and_owners_are_not_changed_through_links(unpack: Unpack, outside: Path) -> None:
    link, _ = hard_link("hard", "soft")
    link.mode, link.uid = 0o4777, 1000
    tree = unpack(
        tar(
            symlink("soft", str(outside / "file"), mode=0o4777, uid=1000),
            (link, None),
            symlink("d", str(outside / "d")),
            directory("d", mode=0o777, uid=1000),
            symlink("file", str(outside / "file")),
            member("file", b"new", mode=0o777, uid=1000),
            symlink("fifo", str(outside / "file")),
            member("fifo", None, type=tarfile.FIFOTYPE, mode=0o777, uid=1000),
            member("x", b"", pax_headers={"SCHILY.xattr.user.a": "b"}),
            symlink("xattr", str(outside / "file"), pax_headers={"SCHILY.xattr.security.x": "b"}),
        )
    )
    assert os.readlink(top(tree) / "hard") == str(outside / "file")
    assert stat.S_ISDIR(os.lstat(top(tree) / "d").st_mode)
    assert (top(tree) / "file").read_bytes() == b"new"
    assert stat.S_ISFIFO(os.lstat(top(tree) / "fifo").st_mode)


def test_a_file_is_never_written_through_a_link(unpack: Unpack, outside: Path) -> None:
    tree = unpack(
        tar(
            symlink("a", str(outside / "file")),
            member("a", b"new", mode=0o600),
            member("first", b"first"),
            hard_link("second", "first"),
            member("second", b"second", mode=0o600),
        )
    )
    assert (top(tree) / "a").read_bytes() == b"new"
    assert (top(tree) / "first").read_bytes() == b"first"
    assert stat.S_IMODE((top(tree) / "first").stat().st_mode) == 0o644


def test_a_hard_link_does_not_change_the_mode(unpack: Unpack) -> None:
    link, _ = hard_link("b", "a")
    link.mode, link.uid = 0o4777, 1000
    tree = unpack(tar(member("a", b"x", mode=0o600), (link, None)))
    status = (top(tree) / "a").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_nlink) == (0o600, 0, 2)


def test_whiteouts_through_links(unpack: Unpack, outside: Path) -> None:
    inside = str(outside).lstrip("/")
    below = tar(directory(inside), member(f"{inside}/file", b"x"), member(f"{inside}/other", b"y"))
    above = tar(
        directory(inside), symlink("way", str(outside)), member("way/.wh.file"), member("way/.wh..wh..opq")
    )
    tree = unpack(below, above)
    assert os.listdir(top(tree) / inside) == []  # opaque: nothing is left to be marked
    assert os.getxattr(top(tree) / inside, "trusted.overlay.opaque") == b"y"
    tree = unpack(below, tar(directory(inside), symlink("way", str(outside)), member("way/.wh.file")))
    assert os.stat(top(tree) / inside / "file").st_rdev == 0
    assert stat.S_ISCHR(os.stat(top(tree) / inside / "file").st_mode)


def test_whiteouts_below_files_and_dangling_links(unpack: Unpack) -> None:
    tree = unpack(
        BASE,
        tar(
            member("etc", b"a file now"),
            member("etc/.wh.passwd"),
            symlink("bin", "/nowhere"),
            member("bin/.wh.sh"),
            symlink("loop", "loop"),
            member("loop/.wh.x"),
        ),
    )
    assert sorted(os.listdir(top(tree))) == ["bin", "etc", "loop"]


def test_whiteouts_of_every_type_are_whiteouts(unpack: Unpack) -> None:
    """The name alone says it (image-spec, layer.md)."""
    tree = unpack(BASE, tar(directory(".wh.bin"), symlink(".wh.etc", "/x"), hard_link(".wh.out", "x")))
    for name in ("bin", "etc", "out"):
        assert stat.S_ISCHR(os.lstat(top(tree) / name).st_mode)


def test_opaque_marks_at_the_bottom_do_nothing(unpack: Unpack) -> None:
    tree = unpack(tar(member(".wh..wh..opq"), member("d/.wh..wh..opq"), member("e/.wh.x"), member(".wh.a")))
    assert sorted(snapshot(top(tree))) == [".", "d"]
    assert os.listxattr(top(tree) / "d") == []


def test_aufs_leftovers_are_passed_over(unpack: Unpack) -> None:
    tree = unpack(tar(directory(".wh..wh.plnk"), member(".wh..wh.plnk/1.2", b"x"), member(".wh..wh.aufs")))
    assert os.listdir(top(tree)) == []


def test_the_last_of_several_entries_wins(unpack: Unpack) -> None:
    tree = unpack(
        tar(
            member("a", b"1"), member("a", b"2"),
            directory("d"), member("d/x", b"x"), member("d", b"now a file"),
            member("f", b"x"), directory("f", mode=0o700), member("f/y", b"y"),
            directory("g", mode=0o700), directory("g", mode=0o711),
            member("h", b"x"), symlink("h", "a"), device("h", 1, 3), member("h", None, type=tarfile.FIFOTYPE),
        )
    )  # fmt: skip
    found = {name: entry[0] for name, entry in snapshot(top(tree)).items()}
    assert found == {
        ".": "0o40755", "a": "0o100644", "d": "0o100644", "f": "0o40700", "f/y": "0o100644", "g": "0o40711",
        "h": "0o10644",
    }  # fmt: skip
    assert (top(tree) / "a").read_bytes() == b"2"


def test_names_that_are_odd_but_legal(unpack: Unpack) -> None:
    names = ["new\nline", "back\\slash", "\x1b[31mred", " ", "-rf", "ü", "n" * 255, "caf\udce9", "%41", "\t"]
    tree = unpack(tar(*[member(name, b"x") for name in names], format=tarfile.GNU_FORMAT))
    assert sorted(os.listdir(top(tree))) == sorted(names)


def test_links_may_point_anywhere(unpack: Unpack) -> None:
    """What they mean is decided in the pod, below its own root."""
    targets = ["/etc/passwd", "../../../etc", "\x1b[2J\n", "caf\udce9", ".", "/"]
    tree = unpack(tar(*[symlink(str(number), target) for number, target in enumerate(targets)]))
    assert [os.readlink(top(tree) / str(number)) for number in range(len(targets))] == targets


def test_set_id_files_and_devices_stay_behind_a_closed_door(unpack: Unpack, data: Path) -> None:
    tree = unpack(tar(member("su", b"x", mode=0o6755), block_device("disk", 8, 0)))
    assert stat.S_IMODE((top(tree) / "su").stat().st_mode) == 0o6755
    assert (data / "layers").stat().st_mode & 0o777 == 0o700


# --- broken and lying streams ---------------------------------------------------------------------

WHOLE = tar(*[member(f"f{number}", os.urandom(5000)) for number in range(40)])


def compressed_zstd(data: bytes) -> bytes:
    zstd = pytest.importorskip("backports.zstd" if os.sys.version_info < (3, 14) else "compression.zstd")
    made: bytes = zstd.compress(data)
    return made


COMPRESS = {"gzip": gzip.compress, "zstd": compressed_zstd, "none": bytes}


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_a_stream_that_is_cut_off(unpack: Unpack, data: Path, compression: str, part: float) -> None:
    blob = COMPRESS[compression](WHOLE)
    cut = blob[: max(12, int(len(blob) * part))]
    assert_refused(unpack, data, cut, compress=False, diff_ids=[digest(BASE), digest(WHOLE)])


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("where", [0.001, 0.2, 0.5, 0.99, 1.0])
def test_a_stream_with_one_byte_changed(unpack: Unpack, data: Path, compression: str, where: float) -> None:
    blob = bytearray(COMPRESS[compression](WHOLE))
    blob[min(int(len(blob) * where) + 12, len(blob) - 6)] ^= 0x55
    assert_refused(unpack, data, bytes(blob), compress=False, diff_ids=[digest(BASE), digest(WHOLE)])


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_rubbish_after_the_end(unpack: Unpack, data: Path, compression: str) -> None:
    blob = COMPRESS[compression](WHOLE) + b"rubbish"
    assert_refused(unpack, data, blob, compress=False, diff_ids=[digest(BASE), digest(WHOLE)])


def test_a_layer_inside_a_layer_is_not_opened(unpack: Unpack) -> None:
    """Compressed twice it is no tar, and so refused; as a file it is a file."""
    inner = gzip.compress(WHOLE)
    assert (top(unpack(tar(member("inner", inner)))) / "inner").read_bytes() == inner


def test_a_tar_after_the_end_of_the_tar(unpack: Unpack) -> None:
    """It counts for the diff id and not for the tree, as with Go's reader."""
    tree = unpack(tar(member("a", b"1")) + tar(member("b", b"2")))
    assert os.listdir(top(tree)) == ["a"]


def test_extended_headers_without_end(unpack: Unpack, data: Path) -> None:
    one = tar(member("a", pax_headers={"comment": "x"}))[:1024]
    assert_refused(unpack, data, one * 5000, "ends after an extended header")


def test_a_global_header_does_not_name_files(unpack: Unpack) -> None:
    archive = tarfile.TarInfo("a").create_pax_global_header({"path": "../../x", "uid": "5"})
    assert os.listdir(top(unpack(archive + tar(member("a"))))) == ["a"]


SMALL = UnpackLimits(ratio_free_bytes=32 << 20, ratio=100)


def test_a_bomb_of_zeros(unpack: Unpack, trees: Trees, data: Path) -> None:
    """Three million bytes that say they are three thousand million."""
    trees.limits = SMALL
    zeros = gzip.compress(bytes(8 << 20), mtime=0)
    info = tarfile.TarInfo("zeros")
    info.size = 400 * (8 << 20)
    blob = gzip.compress(info.tobuf(tarfile.GNU_FORMAT)) + zeros * 400
    assert_refused(unpack, data, blob, "bomb", compress=False, diff_ids=[digest(BASE), digest(blob)])


def test_a_bomb_of_one_block_in_zstd(unpack: Unpack, trees: Trees, data: Path) -> None:
    trees.limits = SMALL
    info = tarfile.TarInfo("zeros")
    info.size = 400 * (8 << 20)
    blob = compressed_zstd(info.tobuf(tarfile.GNU_FORMAT)) + compressed_zstd(bytes(8 << 20)) * 400
    assert_refused(unpack, data, blob, "bomb", compress=False, diff_ids=[digest(BASE), digest(blob)])


def test_zeros_take_no_room(unpack: Unpack) -> None:
    tree = unpack(tar(member("zeros", bytes(32 << 20)), member("few", bytes(5000) + b"x")))
    assert (top(tree) / "zeros").stat().st_size == 32 << 20
    assert (top(tree) / "zeros").stat().st_blocks <= 16  # the odd end of a piece


@pytest.mark.parametrize(
    ("limits", "members", "match"),
    [
        ({"layer_bytes": 1 << 20}, [member("a", bytes(2 << 20))], "when uncompressed"),
        (
            {"layer_bytes": 1 << 20},
            [member("a", b"x", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 21)})],
            "entry 'a'",
        ),
        ({"ratio": 3, "ratio_free_bytes": 1 << 20}, [member("a", bytes(2 << 20))], "bomb"),
        ({"entries": 50}, [member(str(number)) for number in range(51)], "more than 50 entries"),
        ({"entries": 50}, [member("/".join("d" * 52))], "more than 50 directories"),
        ({"depth": 5}, [member("a/b/c/d/e/f")], "more than 5 parts"),
        ({"path_bytes": 300}, [member("/".join(["a" * 99] * 4))], "399 bytes"),
        ({"name_bytes": 20}, [member("a" * 21)], "more than 20 bytes"),
        (
            {"xattrs": 1},
            [member("a", pax_headers={"SCHILY.xattr.user.a": "1", "SCHILY.xattr.user.b": "2"})],
            "more than 1",
        ),
        ({"xattr_bytes": 4}, [member("a", pax_headers={"SCHILY.xattr.user.a": "12345"})], "5 bytes"),
        ({"header_bytes": 600}, [member("n" * 250, pax_headers={"comment": "x" * 900})], "header record"),
        (
            {"extents": 2},
            [member("a", b"123", pax_headers={"GNU.sparse.map": "0,1,5,1,7,1", "GNU.sparse.size": "9"})],
            "more than 2 extents",
        ),
    ],
)  # fmt: skip
def test_limits_are_settings(
    unpack: Unpack,
    trees: Trees,
    data: Path,
    limits: dict[str, int],
    members: list[Member],
    match: str,
) -> None:
    trees.limits = UnpackLimits(**limits)
    assert_refused(unpack, data, tar(*members), match)


def test_the_crc_of_gzip_is_looked_at(unpack: Unpack, data: Path) -> None:
    blob = bytearray(gzip.compress(WHOLE))
    blob[-8:-4] = (zlib.crc32(WHOLE) ^ 1).to_bytes(4, "little")
    assert_refused(unpack, data, bytes(blob), compress=False, diff_ids=[digest(BASE), digest(WHOLE)])


LONG = "/".join(["d" * 250] * 15)
MANY: dict[str, list[Member]] = {
    "directories": [directory(f"{number}/{LONG}") for number in range(40)],
    "directories that nobody names": [member(f"{number}/{LONG}/x") for number in range(40)],
    "attributes of directories": [
        directory(str(number), pax_headers={"SCHILY.xattr.user.a": "x" * 30_000}) for number in range(60)
    ],
    "whiteouts": [member(f"{number}/{LONG}/.wh.x") for number in range(40)],
    "opaque directories": [member(f"{LONG}/{number}/.wh..wh..opq") for number in range(200)],
    "names given twice": [member("d" * 250 + "/" + "x" * 250) for _ in range(1500)],
}  # fmt: skip


@pytest.mark.parametrize("kind", MANY)
def test_what_is_kept_in_memory_has_a_bound(unpack: Unpack, trees: Trees, data: Path, kind: str) -> None:
    trees.limits = UnpackLimits(entries=5000)
    assert_refused(unpack, data, tar(*MANY[kind]), "bytes of memory")
