from __future__ import annotations

import json
import os
import socket
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from carob.errors import Conflict, CorruptData, InvalidInput, NotFound
from carob.image import Store, Trees
from tests.unit.image.archives import device, directory, member, snapshot, symlink, tar


def blobs_of(data: Path) -> set[str]:
    return {path.name for path in (data / "images" / "blobs" / "sha256").glob("*")}


def leftovers_of(data: Path) -> list[Path]:
    return list((data / "images" / ".tmp").glob("*"))


def test_a_directory_is_unpacked_again_as_it_was(store: Store, trees: Trees, rootfs: Path) -> None:
    image = store.import_path(str(rootfs), name="busybox")
    (lower,) = trees.ensure(image).lower_dirs
    assert snapshot(lower) == snapshot(rootfs)


def test_the_defaults_of_an_image_with_a_shell(store: Store, rootfs: Path) -> None:
    config = store.import_rootfs(str(rootfs), name="busybox").config
    assert config["config"]["Cmd"] == ["/bin/sh"]
    assert config["config"]["Env"][0].startswith("PATH=/usr/local/sbin:")
    assert config["os"] == "linux"


def test_no_shell_no_command(store: Store, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "program").touch()
    assert "Cmd" not in store.import_rootfs(str(tmp_path / "root"), name="bare").config["config"]


def test_config_goes_over_the_defaults(store: Store, rootfs: Path) -> None:
    config = {"Entrypoint": ["/bin/echo"], "User": "1000", "Labels": {"a": "b"}}
    inner = store.import_rootfs(str(rootfs), name="busybox", config=config).config["config"]
    assert inner == {"Env": inner["Env"], **config}


@pytest.mark.parametrize("config", [{"Env": "A=1"}, {"Cmd": [1]}, {"Env": ["=x"]}, {"Labels": []}])
def test_a_config_of_wrong_types_is_refused(
    store: Store, data: Path, rootfs: Path, config: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput):
        store.import_rootfs(str(rootfs), name="busybox", config=config)
    assert store.list() == []
    assert leftovers_of(data) == []


def test_the_same_tree_gives_the_same_image(store: Store, rootfs: Path, tmp_path: Path) -> None:
    first = store.import_path(str(rootfs), name="one")
    subprocess.run(["cp", "-a", rootfs, tmp_path / "again"], check=True)
    assert store.import_path(str(tmp_path / "again"), name="two").image_id == first.image_id


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_tars_of_all_compressions_make_the_same_tree(
    store: Store, trees: Trees, rootfs: Path, tmp_path: Path, mode: str
) -> None:
    archive = tmp_path / "root.tar"
    with tarfile.open(archive, mode, format=tarfile.PAX_FORMAT) as file:  # type: ignore[call-overload]
        file.add(rootfs, ".")
    image = store.import_path(str(archive), name="busybox")
    (lower,) = trees.ensure(image).lower_dirs
    theirs = {name: entry[:-1] for name, entry in snapshot(rootfs).items()}  # tarfile writes no attributes
    assert {name: entry[:4] + entry[6:-1] for name, entry in snapshot(lower).items()} == {
        name: entry[:4] + entry[6:] for name, entry in theirs.items()
    }
    assert image.config["config"]["Cmd"] == ["/bin/sh"]


def test_zstd_is_read(store: Store, trees: Trees, rootfs: Path, tmp_path: Path) -> None:
    archive = tmp_path / "root.tar.zst"
    subprocess.run(f"tar -C {rootfs} -c . | zstd -q -o {archive}", shell=True, check=True)
    image = store.import_path(str(archive), name="busybox")
    assert image.layers[0].media_type.endswith("+zstd")
    (lower,) = trees.ensure(image).lower_dirs
    assert sorted(snapshot(lower)) == sorted(snapshot(rootfs))


def test_a_pipe_is_read_once(store: Store, rootfs: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = subprocess.run(["tar", "-C", rootfs, "-cf", "-", "."], check=True, capture_output=True).stdout
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    image = store.import_path(str(pipe), name="busybox")
    writer.join()
    assert image.layers[0].size_bytes == len(content)


def test_skopeo_reads_the_store(store: Store, data: Path, rootfs: Path) -> None:
    image = store.import_path(str(rootfs), name="busybox")
    command = ["skopeo", "inspect", f"oci:{data}/images:busybox:latest"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert answer["Digest"] == image.image_id
    assert answer["Layers"] == [layer.digest for layer in image.layers]


def test_a_new_import_takes_the_name(store: Store, rootfs: Path) -> None:
    first = store.import_path(str(rootfs), name="busybox")
    (rootfs / "new").touch()
    second = store.import_path(str(rootfs), name="busybox:latest")
    assert first.image_id != second.image_id
    assert store.resolve("busybox").image_id == second.image_id
    assert [summary.names for summary in store.list()] == [("busybox:latest",)]


def test_a_broken_blob_is_mended_by_the_next_import(
    store: Store, trees: Trees, data: Path, rootfs: Path
) -> None:
    image = store.import_path(str(rootfs), name="busybox")
    blob = data / "images" / "blobs" / "sha256" / image.layers[0].digest.removeprefix("sha256:")
    blob.write_bytes(b"x" * blob.stat().st_size)
    with pytest.raises(CorruptData, match="layer sha256:"):
        trees.ensure(image)
    store.import_path(str(rootfs), name="busybox")
    assert snapshot(trees.ensure(image).lower_dirs[0]) == snapshot(rootfs)


def test_a_socket_is_passed_over(
    store: Store, trees: Trees, rootfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rootfs)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    image = store.import_path(str(rootfs), name="busybox")
    assert "socket" not in snapshot(trees.ensure(image).lower_dirs[0])


def test_holes_stay_holes(store: Store, trees: Trees, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with open(root / "sparse", "wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
    image = store.import_path(str(root), name="sparse")
    status = os.stat(trees.ensure(image).lower_dirs[0] + "/sparse")
    assert status.st_size == (64 << 20) + 3
    assert status.st_blocks * 512 < 1 << 20


def test_what_a_layer_cannot_say_is_refused(store: Store, data: Path, rootfs: Path) -> None:
    (rootfs / "etc" / ".wh.passwd").touch()
    with pytest.raises(InvalidInput, match=r"\.wh\.passwd"):
        store.import_path(str(rootfs), name="busybox")
    assert blobs_of(data) == set()
    assert leftovers_of(data) == []


@pytest.mark.parametrize(
    "content",
    [
        tar(member("bin/.wh.sh")),
        tar(member("../outside")),
        tar(device("null", 0, 0)),
        tar(member("file", pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"})),
        tar(directory("etc"), member("etc/passwd", b"x" * 5000))[:2000],
        b"this is no tar at all, but it is long enough for one" * 100,
        b"\x1f\x8b but no gzip",
        b"",
    ],
    ids=["whiteout", "dotdot", "device 0/0", "overlay xattr", "cut", "text", "gzip", "empty"],
)
def test_archives_that_are_no_root_file_system(
    store: Store, data: Path, tmp_path: Path, content: bytes
) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(content)
    for run in (store.import_rootfs, store.import_path):
        with pytest.raises((InvalidInput, CorruptData), match=r"root\.tar"):
            run(str(archive), name="x")
    assert store.list() == []
    if data.exists():
        assert blobs_of(data) == set()
        assert leftovers_of(data) == []


@pytest.mark.parametrize("name", ["", "Busybox", "a b", "app@sha256:" + "0" * 64, "../up", "x:" + "t" * 129])
def test_a_name_that_is_none(store: Store, data: Path, rootfs: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        store.import_path(str(rootfs), name=name)
    assert not data.exists()


def test_there_is_nothing_at_the_path(store: Store) -> None:
    with pytest.raises(NotFound, match="/no/such"):
        store.import_path("/no/such", name="x")


def test_a_file_that_grows_meanwhile_is_noticed(
    store: Store, rootfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is written to between its first byte read and its last."""
    from carob.image.files import pack

    original = pack._Packing._write_data

    def write_and_change(self: object, fd: int, size_bytes: int, path: bytes) -> None:
        original(self, fd, size_bytes, path)  # type: ignore[arg-type]
        if path == b"etc/passwd":
            (rootfs / "etc" / "passwd").write_text("changed")

    monkeypatch.setattr(pack._Packing, "_write_data", write_and_change)
    with pytest.raises(Conflict, match="passwd"):
        store.import_path(str(rootfs), name="busybox")
    assert store.list() == []


def test_opening_a_store_creates_nothing(store: Store, data: Path) -> None:
    assert store.list() == []
    with pytest.raises(NotFound) as caught:
        store.resolve("busybox")
    assert "carob image import" in caught.value.hint
    assert not data.exists()


def test_links_in_names_of_a_tar_of_a_shell(store: Store, tmp_path: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(tar(directory("./usr/bin"), symlink("./bin", "usr/bin"), member("./usr/bin/sh")))
    assert store.import_path(str(archive), name="usr").config["config"]["Cmd"] == ["/bin/sh"]


def test_a_hole_of_a_terabyte_is_refused_and_not_read(store: Store, data: Path, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with (tmp_path / "root/hole").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidInput, match="more than 274877906944 bytes") as caught:
        store.import_rootfs(str(tmp_path / "root"), name="x")
    assert "unpacked_bytes" in caught.value.hint
    assert blobs_of(data) == set()
    assert leftovers_of(data) == []
