"""The local ways in: what skopeo writes, what docker save wrote over the years, and what is none of these."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from carob.errors import CarobError, CorruptData, InvalidInput, NotFound, Unsupported
from carob.image import Store
from carob.image.archives.kind import address_of_path
from carob.image.archives.save import ArchiveFormat
from carob.image.fetch.pull import take_in
from carob.image.sources.open import is_rootfs, open_source
from carob.spec.address import parse_address
from tests.needs import require_command
from tests.unit.image.archives import (
    digest,
    directory,
    hard_link,
    layout_of,
    member,
    put_document,
    put_image,
    put_index,
    symlink,
    tar,
)

ONE, TWO = tar(member("one")), tar(member("two"))


def take(store: Store, address: str, name: str = "") -> str:
    """Takes an image in; the diff ids of its layers."""
    return " ".join(take_in(store, None, parse_address(address), name=name).diff_ids)


# --- skopeo ---------------------------------------------------------------------------------------


@pytest.fixture
def written(store: Store, rootfs: Path, tmp_path: Path) -> str:
    """An image in the store, for skopeo to read; its diff ids."""
    return " ".join(store.import_path(str(rootfs), name="busybox:1").diff_ids)


@pytest.mark.parametrize(
    "address",
    [
        "oci:{}/out:example.org/busybox:1",
        "oci-archive:{}/out.tar:example.org/busybox:1",
        "docker-archive:{}/out.tar:example.org/busybox:1",
        "dir:{}/out",
    ],
)
def test_what_skopeo_writes(store: Store, data: Path, tmp_path: Path, written: str, address: str) -> None:
    skopeo = require_command("skopeo")
    target = address.format(tmp_path)
    source = f"oci:{data}/images:busybox:1"
    subprocess.run([skopeo, "--insecure-policy", "copy", source, target], check=True, capture_output=True)
    other = Store(str(tmp_path / "other"))
    name = "" if not target.startswith("dir:") else "example.org/busybox:1"
    assert take(other, target, name) == written
    assert [summary.names for summary in other.list()] == [("example.org/busybox:1",)]
    path = target.partition(":")[2].partition(":")[0]
    assert str(address_of_path(path)).startswith(target.partition(":")[0])
    assert os.listdir(tmp_path / "other" / "images" / ".tmp") == []


def test_docker_manifests_become_oci_ones(store: Store, data: Path, tmp_path: Path, written: str) -> None:
    """And the digest that they had elsewhere still finds them; skopeo reads the result."""
    skopeo = require_command("skopeo")
    subprocess.run(
        [
            skopeo,
            "--insecure-policy",
            "copy",
            "--format=v2s2",
            f"oci:{data}/images:busybox:1",
            f"dir:{tmp_path}/out",
        ],
        check=True,
        capture_output=True,
    )
    original = (tmp_path / "out" / "manifest.json").read_bytes()
    assert "docker.distribution.manifest.v2" in json.loads(original)["mediaType"]
    assert take(store, f"dir:{tmp_path}/out", "docked:1") == written
    image = store.resolve("docked:1")
    assert json.loads(store.cat_manifest("docked:1"))["mediaType"].startswith(
        "application/vnd.oci.image.manifest"
    )
    assert store.resolve(f"docked@{digest(original)}").image_id == image.image_id
    with pytest.raises(NotFound):
        store.resolve(f"other@{digest(original)}")
    inspected = subprocess.run(
        [skopeo, "inspect", f"oci:{data}/images:docked:1"], check=True, capture_output=True, text=True
    )
    assert json.loads(inspected.stdout)["Digest"] == image.image_id


# --- docker save ----------------------------------------------------------------------------------


def docker_config(*layers: bytes) -> bytes:
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
    }
    return json.dumps(config).encode()


def item(config: str, *layers: str, tags: list[str] | None = None) -> dict[str, object]:
    return {"Config": config, "RepoTags": tags, "Layers": list(layers)}


def docker_archive(path: Path, *members: tuple[tarfile.TarInfo, bytes | None], items: object) -> str:
    path.write_bytes(tar(*members, member("manifest.json", json.dumps(items).encode())))
    return f"docker-archive:{path}"


def test_docker_save_with_links_between_layers(store: Store, tmp_path: Path) -> None:
    """Layers of its own directories, one a link to another's, and the same layer twice."""
    address = docker_archive(
        tmp_path / "a.tar",
        directory("aa"),
        member("aa/layer.tar", ONE),
        symlink("bb/layer.tar", "../aa/layer.tar"),
        hard_link("cc/layer.tar", "aa/layer.tar"),
        member("dd/layer.tar", TWO),
        member("config.json", docker_config(ONE, ONE, TWO, ONE)),
        items=[
            item(
                "config.json", "aa/layer.tar", "bb/layer.tar", "dd/layer.tar", "cc/layer.tar", tags=["app:1"]
            )
        ],
    )
    assert take(store, address) == " ".join(digest(layer) for layer in (ONE, ONE, TWO, ONE))
    image = store.resolve("app:1")
    assert [layer.digest for layer in image.layers] == list(image.diff_ids)
    take(store, address, "again")
    assert store.resolve("again").image_id == image.image_id


def test_docker_save_with_compressed_layers(store: Store, tmp_path: Path) -> None:
    packed = gzip.compress(ONE, mtime=0)
    address = docker_archive(
        tmp_path / "a.tar",
        member("blobs/sha256/x", packed),
        member("c", docker_config(ONE)),
        items=[item("c", "blobs/sha256/x", tags=["app"])],
    )
    take(store, address)
    image = store.resolve("app")
    assert (image.layers[0].digest, image.diff_ids) == (digest(packed), (digest(ONE),))


def test_one_of_several_of_docker_save(store: Store, tmp_path: Path) -> None:
    address = docker_archive(
        tmp_path / "a.tar",
        member("1.tar", ONE),
        member("2.tar", TWO),
        member("1.json", docker_config(ONE)),
        member("2.json", docker_config(TWO)),
        items=[item("1.json", "1.tar", tags=["a:1", "a:2"]), item("2.json", "2.tar")],
    )
    with pytest.raises(InvalidInput) as several:
        take(store, address)
    assert several.value.hint.endswith("a:1, a:2")
    assert take(store, f"{address}:a:2") == digest(ONE)
    assert store.resolve("a:2")
    with pytest.raises(NotFound):
        store.resolve("a:1")
    with pytest.raises(InvalidInput, match="no name of its own"):
        take(store, f"{address}:@1")
    assert take(store, f"{address}:@1", "two") == digest(TWO)
    for wrong in ("@2", "a:3"):
        with pytest.raises(NotFound, match="no image"):
            take(store, f"{address}:{wrong}")


WRONG = {
    "no JSON": b"{",
    "deep": b"[" * 100_000,
    "an object": b"{}",
    "no objects": b"[1]",
    "empty": b"[]",
    "no config": json.dumps([{"Layers": []}]).encode(),
    "config elsewhere": json.dumps([item("../../etc/passwd", "1.tar")]).encode(),
    "layers of another number": json.dumps([item("c", "1.tar", "1.tar")]).encode(),
    "a layer that is missing": json.dumps([item("c", "2.tar")]).encode(),
    "layers are numbers": json.dumps([{"Config": "c", "Layers": [1]}]).encode(),
    "tags are numbers": json.dumps([{"Config": "c", "Layers": ["1.tar"], "RepoTags": [1]}]).encode(),
}


@pytest.mark.parametrize("manifest", WRONG.values(), ids=WRONG.keys())
def test_broken_archives_of_docker(store: Store, tmp_path: Path, manifest: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(
        tar(member("1.tar", ONE), member("c", docker_config(ONE)), member("manifest.json", manifest))
    )
    with pytest.raises((CorruptData, NotFound)) as caught:
        take(store, f"docker-archive:{path}", "app")
    assert str(path) in caught.value.message
    assert store.list() == []


def test_a_layer_that_is_not_its_diff_id(store: Store, tmp_path: Path) -> None:
    address = docker_archive(
        tmp_path / "a.tar", member("1.tar", TWO), member("c", docker_config(ONE)), items=[item("c", "1.tar")]
    )
    with pytest.raises(CorruptData, match=digest(ONE)):
        take(store, address, "app")
    assert store.list() == []


def test_an_archive_of_very_long_ago(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar(member("repositories", b"{}"), member("aa/layer.tar", ONE)))
    with pytest.raises(Unsupported, match="2016"):
        take(store, f"docker-archive:{path}", "app")
    path.write_bytes(tar(member("file", b"{}")))
    with pytest.raises(InvalidInput, match="docker save"):
        take(store, f"docker-archive:{path}", "app")


# --- layouts --------------------------------------------------------------------------------------


def test_the_whole_name_where_the_reference_is_but_a_tag(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "layout"
    path.mkdir()
    annotations = {"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "example.org/app:1"}
    put_index(path, {**put_image(path, ONE), "annotations": annotations})
    take(store, f"oci:{path}")
    assert store.resolve("example.org/app:1")
    assert take(store, f"oci:{path}:1", "a") == take(store, f"oci:{path}:example.org/app:1", "b")


def test_images_by_their_number(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "layout"
    path.mkdir()
    put_index(path, put_image(path, ONE), put_image(path, TWO))
    assert take(store, f"oci:{path}:@0", "one") == digest(ONE)
    assert take(store, f"oci:{path}:@1", "two") == digest(TWO)
    with pytest.raises(NotFound, match="@2"):
        take(store, f"oci:{path}:@2", "three")


def test_a_path_that_is_not_utf_8(store: Store, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n"))
    layout_of(path, ONE, name="app:1")
    assert take(store, f"oci:{path}") == digest(ONE)
    assert store.inspect("app:1")["source"] == f"oci:{tmp_path}/\\udcff\n"
    archive = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfe.tar"))
    store.save(["app:1"], str(archive), ArchiveFormat.OCI)
    assert take(store, f"oci-archive:{archive}") == digest(ONE)


def test_an_archive_of_a_layout_through_a_pipe(store: Store, tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "layout", ONE, name="app:1")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["tar", "-C", str(layout), "-czf", str(pipe), "."]):
        assert take(store, f"oci-archive:{pipe}") == digest(ONE)


# --- what skopeo's directories may hold -------------------------------------------------------------


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A directory as skopeo writes it."""
    layout = layout_of(tmp_path / "layout", ONE)
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    path = tmp_path / "plain"
    shutil.copytree(layout / "blobs" / "sha256", path)
    (path / entry["digest"].removeprefix("sha256:")).rename(path / "manifest.json")
    (path / "version").write_text("Directory Transport Version: 1.1\n")
    return path


def test_a_directory_with_an_index(store: Store, plain: Path) -> None:
    data = (plain / "manifest.json").read_bytes()
    (plain / f"{digest(data).removeprefix('sha256:')}.manifest.json").write_bytes(data)
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest(data),
                "size": len(data),
            }
        ],
    }
    (plain / "manifest.json").write_text(json.dumps(index))
    assert take(store, f"dir:{plain}", "app") == digest(ONE)
    assert store.resolve(f"app@{digest((plain / 'manifest.json').read_bytes())}").image_id == digest(data)


@pytest.mark.parametrize(
    "manifest",
    [
        b"{}",
        b"[]",
        b'{"schemaVersion": 2, "manifests": [], "layers": []}',
        b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "manifests": []}',
        b'{"schemaVersion": 2, "mediaType": "text/html", "config": {}}',
    ],
)
def test_documents_that_are_not_what_they_say(store: Store, plain: Path, manifest: bytes) -> None:
    (plain / "manifest.json").write_bytes(manifest)
    with pytest.raises(CorruptData):
        take(store, f"dir:{plain}", "app")


def test_a_manifest_of_schema_1(store: Store, plain: Path) -> None:
    (plain / "manifest.json").write_text('{"schemaVersion": 1, "fsLayers": []}')
    with pytest.raises(Unsupported, match="schema 1"):
        take(store, f"dir:{plain}", "app")


def test_a_directory_that_is_a_root_file_system(store: Store, rootfs: Path, plain: Path) -> None:
    assert is_rootfs(parse_address(f"dir:{rootfs}"))
    assert not is_rootfs(parse_address(f"dir:{plain}"))
    assert take(store, f"dir:{rootfs}", "root")
    with pytest.raises(InvalidInput, match="no name"):
        take(store, f"dir:{rootfs}")
    (plain / "version").write_text("Directory Transport Version: 9\n")
    assert is_rootfs(parse_address(f"dir:{plain}"))


# --- which it is ----------------------------------------------------------------------------------


def test_what_a_path_is(tmp_path: Path, rootfs: Path, plain: Path) -> None:
    layout = layout_of(tmp_path / "a-layout", ONE)
    found = {
        tmp_path / "layout.tar": tar(member("oci-layout", b"{}")),
        tmp_path / "later.tar": tar(directory("blobs"), directory("blobs/sha256"), member("index.json")),
        tmp_path / "docker.tar": tar(
            member("a" * 64 + ".tar"), member("a" * 64 + ".json"), member("manifest.json")
        ),
        tmp_path / "image.aci": tar(member("manifest", b"{}"), directory("rootfs")),
        tmp_path / "image2.aci": tar(directory("rootfs"), member("manifest", b"{}")),
        tmp_path / "rootfs.tar": tar(directory("bin"), member("bin/sh")),
        tmp_path / "rootfs2.tar": tar(directory("rootfs"), directory("rootfs/bin"), member("rootfs/bin/sh")),
    }
    for path, data in found.items():
        path.write_bytes(gzip.compress(data))
    assert [address_of_path(str(path)).transport for path in (rootfs, plain, layout, *found)] == [
        *("dir", "dir", "oci"),
        *("oci-archive", "oci-archive", "docker-archive", "aci", "aci", "tar", "tar"),
    ]
    with pytest.raises(NotFound):
        address_of_path(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("text", ["busybox", "tar:/tmp/a.tar", "docker://example.org/a", "aci:/tmp/a.aci"])
def test_what_no_source_is_opened_for(tmp_path: Path, text: str) -> None:
    with pytest.raises((InvalidInput, Unsupported)):
        open_source(parse_address(text), workplace=str(tmp_path))


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive", "dir", "tar"])
def test_nothing_there(store: Store, tmp_path: Path, transport: str) -> None:
    with pytest.raises(CarobError, match="nowhere"):
        take(store, f"{transport}:{tmp_path}/nowhere", "app")


def test_documents_are_found_by_what_is_in_them(store: Store, tmp_path: Path) -> None:
    """A layout whose index says manifest where an index is."""
    path = tmp_path / "layout"
    path.mkdir()
    index = put_document(path, {"schemaVersion": 2, "manifests": [put_image(path, ONE)]})
    put_index(path, {"mediaType": "application/vnd.oci.image.manifest.v1+json", **index})
    with pytest.raises(CorruptData, match="announced as"):
        take(store, f"oci:{path}", "app")
