from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from carob.errors import InvalidInput, NotFound
from carob.image import Store
from carob.image.archives.load import load_images
from carob.image.archives.save import ArchiveFormat
from tests.needs import require_command
from tests.unit.image.archives import digest, layout_of, member, put_document, put_index, tar

ONE, TWO = tar(member("one", b"1" * 5000)), tar(member("two", b"2" * 5000))
FORMATS = pytest.mark.parametrize("kind", list(ArchiveFormat), ids=lambda kind: kind.value)


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "other"))


@pytest.fixture(autouse=True)
def _images(store: Store, tmp_path: Path) -> None:
    store.import_path(str(layout_of(tmp_path / "1", ONE, TWO)), name="example.org/app:1")
    store.import_path(str(layout_of(tmp_path / "2", ONE)), name="base")
    store.tag("base", "base:old")


@FORMATS
def test_what_is_saved_is_loaded(store: Store, other: Store, tmp_path: Path, kind: ArchiveFormat) -> None:
    path = str(tmp_path / "images.tar")
    store.save(["example.org/app:1", "base", "base:old"], path, kind)
    loaded = load_images(other, None, path)
    assert sorted(image.name for image in loaded) == ["base:latest", "base:old", "example.org/app:1"]
    for name in ("base:latest", "example.org/app:1"):
        assert other.resolve(name).diff_ids == store.resolve(name).diff_ids
        assert other.resolve(name).config_digest == store.resolve(name).config_digest
    assert [summary.names for summary in other.list()] == [summary.names for summary in store.list()]
    assert [name for name in os.listdir(tmp_path) if "images.tar" in name] == ["images.tar"]


@FORMATS
def test_the_same_images_give_the_same_bytes(store: Store, tmp_path: Path, kind: ArchiveFormat) -> None:
    for name in ("a", "b"):
        store.save(["example.org/app:1"], str(tmp_path / name), kind)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@FORMATS
def test_through_a_pipe(store: Store, other: Store, tmp_path: Path, kind: ArchiveFormat) -> None:
    reader, writer = os.pipe()
    data: list[bytes] = []

    def read_all() -> None:
        with open(reader, "rb") as file:
            data.append(file.read())

    thread = threading.Thread(target=read_all)
    thread.start()
    store.save(["base"], writer, kind)
    os.close(writer)
    thread.join(20)
    (tmp_path / "piped.tar").write_bytes(data[0])
    assert load_images(other, None, str(tmp_path / "piped.tar"))[0].diff_ids == store.resolve("base").diff_ids


@FORMATS
def test_skopeo_reads_it(store: Store, tmp_path: Path, kind: ArchiveFormat) -> None:
    skopeo = require_command("skopeo")
    path = tmp_path / "image.tar"
    store.save(["example.org/app:1"], str(path), kind)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    shown = subprocess.run(
        [skopeo, "inspect", "--config", f"{kind.value}:{path}:example.org/app:1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        tuple(json.loads(shown.stdout)["rootfs"]["diff_ids"]) == store.resolve("example.org/app:1").diff_ids
    )


def _umask() -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1], 8) for line in file if line.startswith("Umask"))


def test_zstd_is_decompressed_for_docker(store: Store, other: Store, tmp_path: Path) -> None:
    zstd = pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
    layout = layout_of(tmp_path / "zstd", ONE, compress=False)
    packed = zstd.compress(ONE)
    (layout / "blobs" / "sha256" / digest(packed).removeprefix("sha256:")).write_bytes(packed)
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    manifest = json.loads((layout / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")).read_text())
    manifest["layers"] = [
        {
            "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
            "digest": digest(packed),
            "size": len(packed),
        }
    ]
    put_index(layout, {"mediaType": entry["mediaType"], **put_document(layout, manifest)})
    store.import_path(str(layout), name="packed")
    path = tmp_path / "image.tar"
    store.save(["packed"], str(path), ArchiveFormat.DOCKER)
    with tarfile.open(path) as archive:
        layer = archive.extractfile(f"{digest(ONE).removeprefix('sha256:')}.tar")
        assert layer is not None
        assert layer.read() == ONE
    assert load_images(other, None, str(path))[0].diff_ids == (digest(ONE),)


def test_by_its_id_an_image_has_no_name_there(store: Store, other: Store, tmp_path: Path) -> None:
    path = str(tmp_path / "image.tar")
    for kind in ArchiveFormat:
        store.save([store.resolve("base").image_id], path, kind)
        with pytest.raises(InvalidInput, match=r"@0 has no name") as caught:
            load_images(other, None, path)
        assert "--name" in caught.value.hint
    assert other.list() == []


def test_what_cannot_be_saved(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_text("as it was")
    with pytest.raises(InvalidInput):
        store.save([], str(path), ArchiveFormat.OCI)
    with pytest.raises(NotFound):
        store.save(["base", "nothing"], str(path), ArchiveFormat.OCI)
    os.unlink(store.layout.blob_path(store.resolve("base").layers[0].digest))
    with pytest.raises(NotFound):
        store.save(["base"], str(path), ArchiveFormat.OCI)
    assert path.read_text() == "as it was"
    assert [name for name in os.listdir(tmp_path) if "image.tar" in name] == ["image.tar"]
    for wrong in (tmp_path / "nowhere" / "x.tar", tmp_path):
        with pytest.raises(InvalidInput, match="cannot write"):
            store.save(["base"], str(wrong), ArchiveFormat.OCI)


def test_what_is_no_archive_of_images(store: Store, rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(gzip.compress(tar(member("bin/sh"))))
    for path in (rootfs, tmp_path / "root.tar"):
        with pytest.raises(InvalidInput, match="no archive of images"):
            load_images(store, None, str(path))
