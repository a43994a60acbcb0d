from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from carob.errors import NotFound
from carob.image import Store, Trees, gc
from carob.image.fetch.fetch import fetch
from tests.unit.image.archives import (
    REF_NAME,
    digest,
    layout_of,
    member,
    put_document,
    put_image,
    put_index,
    tar,
)
from tests.unit.image.memory_source import MemorySource

ONE, TWO, THREE = (tar(member(name, os.urandom(50_000))) for name in ("one", "two", "three"))


def disk_bytes(*paths: str | Path) -> int:
    """What du says of files."""
    return sum(os.stat(path).st_blocks * 512 for path in paths)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An image with a history of five steps, two of which made a layer; a third layer has none."""
    layout = layout_of(tmp_path / "layout", ONE, TWO, THREE)
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    blobs = layout / "blobs" / "sha256"
    manifest = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_text())
    config = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    config["created"] = "2020-01-02T03:04:05Z"
    config["author"] = "ann"
    config["history"] = [
        {"created": "2020-01-01T00:00:00Z", "created_by": "FROM", "comment": "base"},
        {"created_by": "ENV A=1", "empty_layer": True},
        7,
        {"created_by": "RUN x", "author": 5},
        {"created_by": "CMD", "empty_layer": True},
    ]
    manifest["config"].update(put_document(layout, config))
    manifest["annotations"] = {"a": "b"}
    return put_index(layout, {"mediaType": entry["mediaType"], **put_document(layout, manifest)})


def test_history(store: Store, layout: Path) -> None:
    store.import_path(str(layout), name="app")
    steps = store.history("app")
    assert [(step.created_by, step.diff_id) for step in steps] == [
        ("FROM", digest(ONE)),
        ("ENV A=1", ""),
        ("RUN x", digest(TWO)),
        ("CMD", ""),
        ("", digest(THREE)),
    ]
    assert (steps[0].comment, steps[0].created) == ("base", "2020-01-01T00:00:00Z")
    assert (steps[2].author, steps[2].size_bytes > 50_000, steps[1].size_bytes) == ("", True, 0)


def test_inspect(store: Store, layout: Path) -> None:
    image = store.import_path(str(layout), name="app:1")
    store.tag("app:1", "app:2")
    shown = json.loads(json.dumps(store.inspect("app:2")))
    assert shown["names"] == ["app:1", "app:2"]
    assert (shown["id"], shown["digests"]) == (image.image_id, [image.image_id])
    assert shown["source"] == f"oci:{layout}"
    assert (shown["created"], shown["author"], shown["os"]) == ("2020-01-02T03:04:05Z", "ann", "linux")
    assert shown["annotations"] == {"a": "b"}
    assert shown["config"] == {"Cmd": ["/bin/sh"]}
    assert [layer["diff_id"] for layer in shown["layers"]] == [digest(ONE), digest(TWO), digest(THREE)]
    assert [layer["unpacked"] for layer in shown["layers"]] == [False] * 3
    sizes = sum(os.path.getsize(path) for path in Path(store.layout.path, "blobs/sha256").iterdir())
    assert shown["size_bytes"] == sizes
    assert json.loads(store.cat_manifest("app:1"))["annotations"] == {"a": "b"}
    with pytest.raises(NotFound):
        store.inspect("nothing")


def test_an_unpacked_layer_shows(store: Store, trees: Trees, layout: Path) -> None:
    trees.ensure(store.import_path(str(layout), name="app"))
    assert [layer["unpacked"] for layer in store.inspect("app")["layers"]] == [True] * 3


def test_usage_counts_what_is_shared_once(store: Store, trees: Trees, data: Path) -> None:
    source = MemorySource()
    source.put_image(ONE, TWO)
    first = fetch(store, None, source, name="first")
    source.put_image(ONE, THREE)
    second = fetch(store, None, source, name="second")
    trees.ensure(first)
    blobs = list(Path(store.layout.path, "blobs/sha256").iterdir())
    usage = store.usage()
    assert usage.blob_bytes == disk_bytes(*blobs)
    layers = [trees.layer_path(chain_id) for chain_id in first.chain_ids]
    files = [path for layer in layers for path in Path(layer).rglob("*")]
    written = [
        path(chain_id) for path in (trees.record_path, trees.chain_path) for chain_id in first.chain_ids
    ]
    assert usage.layer_bytes == disk_bytes(*layers, *files, *written)
    assert usage.unused_bytes == 0
    one, two = usage.images
    assert (one.names, two.names) == (("first:latest",), ("second:latest",))
    assert one.own_bytes < one.size_bytes
    blob = {path: disk_bytes(store.layout.blob_path(path)) for path in (digest(ONE), digest(THREE))}
    own = {second.image_id, second.config_digest, digest(THREE)}
    assert two.own_bytes == disk_bytes(*(store.layout.blob_path(path) for path in own))
    shared = blob[digest(ONE)] + disk_bytes(layers[0], Path(layers[0], "one"), written[0], written[2])
    assert two.size_bytes == two.own_bytes + shared
    before = usage.total_bytes
    store.remove("second")
    assert store.usage().unused_bytes == two.own_bytes
    gc(str(data), in_use=tuple)
    assert store.usage().total_bytes <= before - two.own_bytes


def test_usage_of_hard_links_parts_and_nothing(store: Store, data: Path) -> None:
    empty = store.usage()
    assert (empty.total_bytes, empty.images) == (0, ())
    layer = data / "layers" / ("1" * 64)
    (layer / "etc").mkdir(parents=True)
    (layer / "etc" / "a").write_bytes(os.urandom(20_000))
    os.link(layer / "etc" / "a", layer / "etc" / "b")
    (layer / "link").symlink_to("/usr")
    (data / "images" / ".tmp").mkdir(parents=True)
    (data / "images" / ".tmp" / "x.partial").write_bytes(os.urandom(9000))
    usage = store.usage()
    assert usage.layer_bytes == disk_bytes(layer, layer / "etc", layer / "etc" / "a")
    assert usage.unused_bytes == usage.layer_bytes
    assert usage.temporary_bytes == disk_bytes(data / "images/.tmp", data / "images/.tmp/x.partial")


def test_an_image_that_another_tool_stored_as_an_index(store: Store, data: Path) -> None:
    images = data / "images"
    images.mkdir(parents=True)
    image = put_image(images, tar(member("a")))
    kind = "application/vnd.oci.image.index.v1+json"
    index = {"mediaType": kind, **put_document(images, {"schemaVersion": 2, "manifests": [image]})}
    put_index(images, {**index, "annotations": {REF_NAME: "one"}})
    assert store.inspect("one")["names"] == ["one:latest"]
    (images / ".tmp").mkdir()
    assert store.tag("one", "two").image_id == image["digest"]
    assert store.inspect("one")["names"] == ["one:latest", "two:latest"]
