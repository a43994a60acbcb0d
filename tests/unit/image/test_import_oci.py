from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from carob.errors import CarobError, CorruptData, InvalidInput, NotFound, Unsupported
from carob.image import Store, Trees, gc
from tests.needs import require_command
from tests.unit.image.archives import (
    MANIFEST,
    REF_NAME,
    layout_of,
    member,
    put_document,
    put_image,
    put_index,
    tar,
)

INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = tar(member("file", b"content"))


def blobs_of(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "images" / "blobs" / "sha256").glob("*"))


def test_a_layout_keeps_its_digests(store: Store, tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "layout", LAYER)
    image = store.import_path(str(layout), name="app")
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    assert image.image_id == entry["digest"]
    assert store.resolve("app") == image
    assert image.name == "app:latest"


def test_what_skopeo_wrote(store: Store, trees: Trees, data: Path, rootfs: Path, tmp_path: Path) -> None:
    """Through a second layout and an archive, both written by skopeo from carob's store."""
    skopeo = require_command("skopeo")
    image = store.import_path(str(rootfs), name="busybox")
    source = f"oci:{data}/images:busybox:latest"
    for target in (f"oci:{tmp_path}/copy:tag", f"oci-archive:{tmp_path}/archive.tar:tag"):
        subprocess.run([skopeo, "--insecure-policy", "copy", source, target], check=True, capture_output=True)
    for path, name in (("copy", "one"), ("archive.tar", "two")):
        copied = store.import_path(str(tmp_path / path), name=name)
        assert copied.diff_ids == image.diff_ids
        assert trees.ensure(copied).lower_dirs == trees.ensure(image).lower_dirs
    assert list((data / "images" / ".tmp").iterdir()) == []


def test_what_skopeo_writes_into_the_store(store: Store, data: Path, rootfs: Path) -> None:
    skopeo = require_command("skopeo")
    store.import_path(str(rootfs), name="busybox")
    source, target = f"oci:{data}/images:busybox:latest", f"oci:{data}/images:copied"
    subprocess.run([skopeo, "--insecure-policy", "copy", source, target], check=True, capture_output=True)
    assert store.resolve("copied").diff_ids == store.resolve("busybox").diff_ids
    assert [summary.names for summary in store.list() if "copied:latest" in summary.names]


@pytest.fixture
def several(tmp_path: Path) -> Path:
    layout = tmp_path / "layout"
    layout.mkdir()
    entries = [
        {**put_image(layout, tar(member(name))), "annotations": {REF_NAME: name}}
        for name in ("app:1", "app:2")
    ]
    return put_index(layout, *entries)


def test_one_of_several_by_its_reference(store: Store, several: Path) -> None:
    one = store.import_oci_layout(str(several), name="one", reference="app:1")
    two = store.import_oci_layout(str(several), name="two", reference="app:2")
    assert one.image_id != two.image_id
    with pytest.raises(InvalidInput) as caught:
        store.import_oci_layout(str(several), name="x")
    assert caught.value.hint.endswith("'app:1' @0, 'app:2' @1")
    with pytest.raises(NotFound) as missing:
        store.import_oci_layout(str(several), name="x", reference="app:3")
    assert "'app:1', 'app:2'" in missing.value.hint


def test_the_image_of_this_platform(store: Store, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    layout.mkdir()
    ours = put_image(layout, LAYER)
    theirs = put_image(layout, tar(member("other")), architecture="mips")
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    manifests = [
        {**theirs, "platform": {"os": "linux", "architecture": "mips"}},
        {**ours, "platform": {"os": "linux", "architecture": architecture}},
    ]
    index = put_document(layout, {"schemaVersion": 2, "manifests": manifests})
    put_index(layout, {"mediaType": INDEX, **index, "annotations": {REF_NAME: "app"}})
    assert store.import_path(str(layout), name="app").image_id == ours["digest"]
    index = put_document(layout, {"schemaVersion": 2, "manifests": manifests[:1]})
    put_index(layout, {"mediaType": INDEX, **index})
    with pytest.raises(NotFound) as caught:
        store.import_path(str(layout), name="foreign")
    assert "linux/mips" in caught.value.hint


def test_a_tar_of_a_layout(store: Store, data: Path, tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "layout", LAYER)
    for number, mode in enumerate(("w", "w:gz")):
        archive = tmp_path / f"{number}.tar"
        with tarfile.open(archive, mode) as file:  # type: ignore[call-overload]
            file.add(layout, ".")
        image = store.import_path(str(archive), name=f"app{number}")
        assert image.layers[0].digest.removeprefix("sha256:") in blobs_of(data)
    assert list((data / "images" / ".tmp").iterdir()) == []


def spoil(layout: Path, **changes: object) -> None:
    """Changes the one descriptor of the index."""
    document = json.loads((layout / "index.json").read_text())
    document["manifests"][0].update(changes)
    (layout / "index.json").write_text(json.dumps(document))


def replace_manifest(layout: Path, **changes: object) -> None:
    """Changes the manifest itself; its digest is right again afterwards."""
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    blob = layout / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")
    manifest = {**json.loads(blob.read_text()), **changes}
    put_index(layout, {"mediaType": MANIFEST, **put_document(layout, manifest)})


def layer_blob(layout: Path) -> Path:
    return max((layout / "blobs" / "sha256").iterdir(), key=lambda path: path.read_bytes()[:2] == b"\x1f\x8b")


def make_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


NESTED = "[" * 100_000

HOSTILE = {
    "no version": lambda layout: (layout / "oci-layout").write_text("{}"),
    "another version": lambda layout: (layout / "oci-layout").write_text('{"imageLayoutVersion": "9.0"}'),
    "index is no JSON": lambda layout: (layout / "index.json").write_text("nonsense"),
    "index is a list": lambda layout: (layout / "index.json").write_text("[]"),
    "index is deep": lambda layout: (layout / "index.json").write_text('{"a":' + NESTED),
    "index is binary": lambda layout: (layout / "index.json").write_bytes(b"\xff\xfe{}"),
    "index of another schema": lambda layout: (layout / "index.json").write_text('{"schemaVersion": 1}'),
    "no manifests": put_index,
    "manifests are no list": lambda layout: (layout / "index.json").write_text(
        '{"schemaVersion": 2, "manifests": {"a": 1}}'
    ),
    "an entry is a number": lambda layout: put_index(layout, 5),
    "digest is a path": lambda layout: spoil(layout, digest="sha256:../../../../etc/passwd"),
    "digest is of no kind": lambda layout: spoil(layout, digest="md5:" + "0" * 32),
    "digest is a number": lambda layout: spoil(layout, digest=5),
    "digest is missing": lambda layout: spoil(layout, digest=None),
    "digest of nothing": lambda layout: spoil(layout, digest="sha256:" + "0" * 64),
    "size is negative": lambda layout: spoil(layout, size=-1),
    "size is huge": lambda layout: spoil(layout, size=1 << 70),
    "size is wrong": lambda layout: spoil(layout, size=5),
    "size is true": lambda layout: spoil(layout, size=True),
    "media type of something": lambda layout: spoil(layout, mediaType="application/x-elf"),
    "annotations are a list": lambda layout: spoil(layout, annotations=["x"]),
    "annotations of numbers": lambda layout: spoil(layout, annotations={"x": 1}),
    "config is missing": lambda layout: replace_manifest(layout, config=None),
    "layers are text": lambda layout: replace_manifest(layout, layers="all"),
    "fewer layers than diff ids": lambda layout: replace_manifest(layout, layers=[]),
    "layers without end": lambda layout: replace_manifest(layout, layers=[{}] * 1000),
    "both manifest and index": lambda layout: replace_manifest(layout, manifests=[]),
    "layer with other bytes": lambda layout: layer_blob(layout).write_bytes(
        bytes(layer_blob(layout).stat().st_size)
    ),
    "layer that is longer": lambda layout: layer_blob(layout).open("ab").write(b"x"),
    "layer that is a link": lambda layout: make_link(layer_blob(layout)),
    "layer that is a fifo": lambda layout: make_fifo(layer_blob(layout)),
    "layer that is missing": lambda layout: layer_blob(layout).unlink(),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_layouts_leave_nothing(store: Store, data: Path, tmp_path: Path, change: object) -> None:
    layout = layout_of(tmp_path / "layout", LAYER)
    change(layout)  # type: ignore[operator]
    with pytest.raises((CorruptData, NotFound, Unsupported)) as caught:
        store.import_path(str(layout), name="app")
    assert len(caught.value.message) < 500
    assert store.list() == []
    assert gc(str(data), in_use=tuple).blobs <= 3  # whole blobs that came before the broken one
    assert blobs_of(data) == []


def test_indexes_in_indexes_end(store: Store, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    descriptor: dict[str, object] = put_image(put_index(layout), LAYER)
    for _ in range(20):
        index = put_document(layout, {"schemaVersion": 2, "manifests": [descriptor]})
        descriptor = {"mediaType": INDEX, **index}
    put_index(layout, descriptor)
    with pytest.raises(CorruptData, match="indexes in indexes"):
        store.import_path(str(layout), name="app")


@pytest.mark.parametrize(
    "members",
    [
        [
            member("oci-layout", None, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            member("index.json", b"{}"),
        ],
        [member("index.json", b"{}"), member("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')],
        [
            member("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
            member("../../blobs/sha256/" + "0" * 64, b"x"),
        ],
    ],
    ids=["link", "empty index", "no index"],
)
def test_hostile_archives_leave_nothing(
    store: Store, data: Path, tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes | None]]
) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(tar(*members))
    with pytest.raises(CarobError):
        store.import_path(str(archive), name="x")
    assert list((data / "images" / ".tmp").iterdir()) == []
    assert store.list() == []


IMPORT = """
import sys
from carob.image import Store
for number in range(1000):
    Store(sys.argv[1]).import_path(sys.argv[2], name=f"n{number}")
    print(number, flush=True)
"""


@pytest.mark.parametrize("delay_bytes", [0, 1, 2, 3, 4, 5])
def test_a_kill_leaves_a_good_store(store: Store, data: Path, rootfs: Path, delay_bytes: int) -> None:
    """Killed somewhere in a later import; every name that is there leads to a whole image."""
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORT, str(data), str(rootfs)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(delay_bytes):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    summaries = store.list()
    assert [summary.problem for summary in summaries] == [""] * len(summaries)
    assert sum(len(summary.names) for summary in summaries) >= delay_bytes
    gc(str(data), in_use=tuple)
    if data.exists():
        assert list((data / "images" / ".tmp").glob("blob-*")) == []
    assert store.import_path(str(rootfs), name="after").image_id
    for summary in store.list():
        assert store.resolve(summary.names[0]).image_id == summary.image_id
