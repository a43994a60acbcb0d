"""What files an appc image has in the end."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from carob.errors import (
    CorruptData,
    Unsupported,
)
from tests.needs import require_command, require_root
from tests.unit.image.aci.made import aci, app, file, folder, manifest
from tests.unit.image.aci.place import NAME, Place, Publish
from tests.unit.image.archives import device, hard_link, snapshot, symlink


def test_the_tree_is_what_tar_unpacks(place: Place, tmp_path: Path) -> None:
    """Every kind of file with all it has, against GNU tar."""
    require_root()
    data = aci(
        manifest(NAME),
        folder("bin", mode=0o751, mtime=1_000_000_000),
        file("bin/su", b"#!", mode=0o4755, uid=0, gid=0, mtime=1_234_567_890.5),
        hard_link("rootfs/bin/link", "rootfs/bin/su"),  # later, and GNU tar would forget bin's time
        file("etc/shadow", b"x", mode=0o640, uid=1000, gid=42),
        symlink("rootfs/sh", "/bin/su", uid=5),
        symlink("rootfs/up", "../../../../etc"),
        device("rootfs/dev/null", 1, 3, mode=0o666),
        file("long/" + "d" * 90 + "/" + "f" * 90, b"long"),
        file("caps", b"c", pax_headers={"SCHILY.xattr.user.test": "v"}),
        file("weird\n\u00e9 name", b"w"),
    )
    found = snapshot(place.tree(place.fetch(place.write(data), "image")))
    expected = tmp_path / "expected"
    expected.mkdir()
    archive = tmp_path / "plain.tar"
    archive.write_bytes(data)
    options = ("--xattrs", "--xattrs-include=*", "--same-owner", "--same-permissions", "--numeric-owner")
    command = [require_command("tar"), "-x", *options, "-f", str(archive), "-C", str(expected)]
    subprocess.run(command, check=True)
    wanted = snapshot(expected / "rootfs")
    implied = {".", "etc", "dev", "long", "long/" + "d" * 90}  # no entry says when these were changed
    for name in implied:
        found[name] = (*found[name][:5], None, *found[name][6:])
        wanted[name] = (*wanted[name][:5], None, *wanted[name][6:])
    assert found == wanted


def test_dependencies_are_laid_in_order_and_the_image_over_them(place: Place, publish: Publish) -> None:
    publish("localhost/b", file("who", b"b"), file("b", b"b"), file("over", b"b"))
    publish("localhost/d", file("who", b"d"), file("d", b"d"), file("over", b"d"))
    publish("localhost/c", file("who", b"c"), file("c", b"c"), dependencies=[{"imageName": "localhost/d",
            "labels": [{"name": "version", "value": "1.0.0"}]}])  # fmt: skip
    names = [
        {"imageName": f"localhost/{one}", "labels": [{"name": "version", "value": "1.0.0"}]} for one in "bc"
    ]
    publish("localhost/a", file("who", b"a"), file("a", b"a"), dependencies=names)
    image = place.fetch("appc:localhost/a:1.0.0", "image")
    assert len(image.layers) == 4
    tree = place.tree(image)
    assert {path.name: path.read_text() for path in tree.iterdir()} == {
        **{name: name for name in "abcd"},
        "who": "a",
        "over": "d",
    }


def test_a_link_to_a_directory_is_replaced_and_not_followed(place: Place, publish: Publish) -> None:
    """ace.md: "the link MUST NOT be followed and it MUST be removed and replaced with the new path"."""
    labels = [{"name": "version", "value": "1.0.0"}]
    publish("localhost/low", folder("real"), symlink("rootfs/etc", "real"), file("flat/x", b"low"))
    publish(
        "localhost/top",
        file("etc/new", b"new"),
        file("flat", b"a file now"),
        dependencies=[{"imageName": "localhost/low", "labels": labels}],
    )
    tree = place.tree(place.fetch("appc:localhost/top:1.0.0", "image"))
    assert not (tree / "etc").is_symlink()
    assert (tree / "etc/new").read_text() == "new"
    assert list((tree / "real").iterdir()) == []
    assert (tree / "flat").read_text() == "a file now"


def test_the_whitelist_counts_for_all_that_is_below(place: Place, publish: Publish) -> None:
    labels = [{"name": "version", "value": "1.0.0"}]
    publish(
        "localhost/low",
        *(file("keep/one", b"1"), file("keep/two", b"2"), file("lost", b"x"), folder("empty", mode=0o700)),
    )
    publish(
        "localhost/mid",
        *(file("mid/keep", b"m"), file("mid/lost", b"x")),
        dependencies=[{"imageName": "localhost/low", "labels": labels}],
        pathWhitelist=["/keep/one", "/keep/two", "/mid/keep", "/empty"],
    )
    publish(
        "localhost/top",
        *(file("top/keep", b"t"), file("top/lost", b"x")),
        dependencies=[{"imageName": "localhost/mid", "labels": labels}],
        pathWhitelist=["/keep/one", "/mid/keep", "/mid/lost", "/top/keep", "/lost", "/empty/"],
    )
    tree = place.tree(place.fetch("appc:localhost/top:1.0.0", "image"))
    found = {str(path.relative_to(tree)) for path in tree.rglob("*")}
    assert found == {"keep", "keep/one", "mid", "mid/keep", "top", "top/keep", "empty"}
    assert stat.S_IMODE((tree / "empty").stat().st_mode) == 0o700


def test_a_hard_link_survives_the_file_it_was_made_of(place: Place, publish: Publish) -> None:
    publish(
        NAME,
        *(
            file("a", b"data", mode=0o750),
            hard_link("rootfs/b", "rootfs/a"),
            hard_link("rootfs/c", "rootfs/b"),
        ),
        hard_link("rootfs/d", "rootfs/a"),
        pathWhitelist=["/c", "/d"],
    )
    tree = place.tree(place.fetch(f"appc:{NAME}:1.0.0", "image"))
    assert sorted(path.name for path in tree.iterdir()) == ["c", "d"]
    assert (tree / "c").read_bytes() == b"data"
    assert (tree / "c").stat().st_ino == (tree / "d").stat().st_ino
    assert stat.S_IMODE((tree / "c").stat().st_mode) == 0o750


def test_user_and_group_are_the_owner_of_a_file_in_any_layer(place: Place, publish: Publish) -> None:
    labels = [{"name": "version", "value": "1.0.0"}]
    publish("localhost/low", file("bin/ping", b"1", uid=11, gid=12), file("bin/x", b"1", uid=1, gid=2))
    depends = [{"imageName": "localhost/low", "labels": labels}]
    publish(
        "localhost/top",
        file("bin/x", b"2", uid=21, gid=22),
        dependencies=depends,
        app=app("/x", user="/bin/ping", group="/bin/x"),
    )
    image = place.fetch("appc:localhost/top:1.0.0", "image")
    assert image.config["config"]["User"] == "11:22"
    publish("localhost/none", dependencies=depends, app=app("/x", user="/bin/none"))
    with pytest.raises(CorruptData, match="/bin/none"):
        place.fetch("appc:localhost/none:1.0.0", "image")
    publish("localhost/link", symlink("rootfs/l", "bin/x"), dependencies=depends, app=app("/x", user="/l"))
    with pytest.raises(Unsupported, match="symbolic link"):
        place.fetch("appc:localhost/link:1.0.0", "image")


def test_the_same_image_is_the_same_everywhere(place: Place, publish: Publish, tmp_path: Path) -> None:
    publish(NAME, file("x", b"1"), app=app("/x"))
    first = place.fetch(f"appc:{NAME}:1.0.0", "image")
    elsewhere = Place(tmp_path / "elsewhere", place.server, place.authority)
    assert elsewhere.fetch(f"appc:{NAME}:1.0.0", "image").image_id == first.image_id


def test_an_image_for_another_system_is_not_supported(place: Place) -> None:
    with pytest.raises(Unsupported, match="freebsd"):
        place.fetch(place.write(aci(manifest(NAME, labels={"os": "freebsd", "arch": "amd64"}))), "image")
