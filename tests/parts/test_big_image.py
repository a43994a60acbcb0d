"""The large image and its relatives are what they say, and other people's tools agree."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from tests.parts import odd_tree, skopeo, umoci
from tests.parts.big_image import MANY, BigImages
from tests.parts.buildah import Buildah
from tests.parts.cache import Cache
from tests.parts.compare_trees import differences, read_tree
from tests.parts.oci_layout import GZIP_LAYER, LAYER, ZSTD_LAYER, LayoutImage, architecture
from tests.parts.registry import Registry

MEGABYTES_100 = 100_000_000
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first time it is made


def test_the_layers_are_the_root_file_system_and_that_is_large_and_real(
    big_images: BigImages, tmp_path: Path
) -> None:
    rootfs = big_images.rootfs
    assert sum(path.lstat().st_size for path in rootfs.rglob("*") if path.is_file()) > MEGABYTES_100
    assert os.access(rootfs / "usr/bin/python3", os.X_OK)
    assert b"cap" in b"".join(name.encode() for name in os.listxattr(rootfs / "usr/bin/ping"))
    umoci.unpack(big_images.gzip.umoci, tmp_path / "unpacked")
    assert differences(rootfs, tmp_path / "unpacked") == []


@pytest.mark.parametrize(
    ("form", "media_type"), [("plain", LAYER), ("gzip", GZIP_LAYER), ("zstd", ZSTD_LAYER)]
)
def test_each_form_has_the_same_layers_in_its_own_compression(
    form: str, media_type: str, big_images: BigImages
) -> None:
    image: LayoutImage = getattr(big_images, form)
    assert [layer["mediaType"] for layer in image.layers()] == [media_type] * 3
    assert image.configuration()["rootfs"] == big_images.plain.configuration()["rootfs"]


def test_the_family_shares_all_layers_but_the_top_one(big_images: BigImages) -> None:
    one, two = ([layer["digest"] for layer in image.layers()] for image in big_images.family)
    assert one[:-1] == two[:-1] == [layer["digest"] for layer in big_images.gzip.layers()]
    assert one[-1] != two[-1]


def test_many_layers_hold_whiteouts_and_give_a_tree(big_images: BigImages, tmp_path: Path) -> None:
    assert len(big_images.many.layers()) == MANY
    umoci.unpack(big_images.many.umoci, tmp_path / "unpacked")
    tree = read_tree(tmp_path / "unpacked")
    assert not [name for name in tree if os.path.basename(name).startswith(b".wh.")]
    below = {name for name in read_tree(big_images.rootfs) if not name.startswith(b"usr/share/doc/")}
    assert below <= tree.keys()
    assert tree[b"srv/change-0/emptied/new"].type == "file"
    assert b"srv/change-0/emptied/file" not in tree


def test_umoci_unpacks_the_odd_layers_but_for_what_it_is_known_to_lose(
    big_images: BigImages, tmp_path: Path
) -> None:
    umoci.unpack(big_images.odd.umoci, tmp_path / "unpacked")
    made = tmp_path / "made"
    odd_tree.lower(made)
    (made / "attributes/closed").chmod(0o000)
    kept = ("special", "names", "attributes", "links", "holes")
    found = differences(
        made, tmp_path / "unpacked", skip=lambda name: name.partition(b"/")[0].decode() not in kept
    )
    assert {line.partition(":")[0].encode() for line in found} == odd_tree.UMOCI_DIFFERS


def test_the_index_is_pushed_and_pulled_with_all_platforms(
    big_images: BigImages, registry: Registry, tmp_path: Path
) -> None:
    registry.push(big_images.index.oci, "parts/index", all_platforms=True)
    document = registry.inspect("parts/index")
    names = [entry["platform"]["architecture"] for entry in document["manifests"]]
    assert names == ["s390x", "arm", architecture()]
    registry.pull("parts/index", "latest", f"oci:{tmp_path}/own:1")
    assert LayoutImage(tmp_path / "own", "1").layers() == big_images.gzip.layers()


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_archives_hold_the_same_image(transport: str, big_images: BigImages) -> None:
    path = {"docker-archive": big_images.docker_archive, "oci-archive": big_images.oci_archive}[transport]
    configuration = json.loads(skopeo.run("inspect", "--config", f"{transport}:{path}"))
    assert configuration["rootfs"] == big_images.gzip.configuration()["rootfs"]


def test_buildah_builds_on_an_image_and_writes_another(
    buildah: Buildah, small: LayoutImage, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("added")
    container = buildah.take(small.oci)
    buildah.run("copy", container, str(tmp_path / "file"), "/added")
    buildah.commit(container, f"oci:{tmp_path}/built:1")
    umoci.unpack(f"{tmp_path}/built:1", tmp_path / "unpacked")
    assert sorted(path.name for path in (tmp_path / "unpacked").iterdir()) == ["added", "one", "two"]


def test_the_cache_makes_a_thing_once_and_never_half(tmp_path: Path) -> None:
    cache = Cache("recipe", tmp_path / "cache")
    (tmp_path / "cache/of-another-recipe/rootfs").mkdir(parents=True)
    calls = []

    def fail(new: Path) -> None:
        new.mkdir()
        (new / "half").touch()
        raise RuntimeError("on the way")

    def make(new: Path) -> None:
        calls.append(new)
        new.mkdir()
        (new / "whole").touch()

    with pytest.raises(RuntimeError, match="on the way"):
        cache.made("thing", fail)
    threads = [threading.Thread(target=cache.made, args=("thing", make)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert os.listdir(cache.made("thing", make)) == ["whole"]
    assert os.listdir(tmp_path / "cache") == ["recipe"]
