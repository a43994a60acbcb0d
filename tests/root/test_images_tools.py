"""What other tools make of carob's store and archives: skopeo, umoci, podman."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.image import ResolvedImage, Store, Trees
from carob.image.archives.save import ArchiveFormat
from carob.image.fetch.fetch import fetch
from carob.image.fetch.pull import take_in
from carob.spec.address import parse_address
from tests.needs import require_command, require_root
from tests.parts import skopeo, umoci
from tests.parts.big_image import BigImages
from tests.parts.compare_trees import differences
from tests.parts.registry import Registry
from tests.unit.image.archives import layout_of, member, tar
from tests.unit.image.memory_source import MemorySource

NAME = "example.org/team/app:1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    require_root()
    return Store(str(tmp_path / "data"))


@pytest.fixture
def image(store: Store, tmp_path: Path) -> ResolvedImage:
    layers = [tar(member(f"file{number}", b"x" * 1000 * number)) for number in range(1, 4)]
    layout = layout_of(tmp_path / "layout", *layers, name=NAME)
    return take_in(store, None, parse_address(f"oci:{layout}"))


@pytest.fixture
def podman() -> Iterator[list[str]]:
    """Podman with a storage of its own, at a path that is short enough for it."""
    program = require_command("podman")
    with tempfile.TemporaryDirectory(prefix="carob-") as top:
        command = [program, "--root", f"{top}/root", "--runroot", f"{top}/run", "--storage-driver", "vfs"]
        yield command
        subprocess.run([*command, "rmi", "-a", "-f"], check=True, capture_output=True)


def test_skopeo_reads_the_store(store: Store, image: ResolvedImage) -> None:
    place = f"oci:{store.layout.path}:{NAME}"
    assert json.loads(skopeo.run("inspect", place))["Digest"] == image.image_id
    assert json.loads(skopeo.run("inspect", "--config", place)) == image.config
    raw = skopeo.run("inspect", "--raw", place)
    assert raw == store.cat_manifest(NAME)


def test_skopeo_copies_from_the_store(store: Store, image: ResolvedImage, registry: Registry) -> None:
    digest = registry.push(f"oci:{store.layout.path}:{NAME}", "tools/copied", "1")
    assert digest == image.image_id


def test_skopeo_copies_into_the_store(store: Store, image: ResolvedImage, big_images: BigImages) -> None:
    skopeo.copy(big_images.zstd.oci, f"oci:{store.layout.path}:other:1", "--preserve-digests")
    other = store.resolve("other:1")
    assert list(other.diff_ids) == big_images.zstd.configuration()["rootfs"]["diff_ids"]
    assert store.verify().broken == ()
    assert store.resolve(NAME) == image


def test_umoci_reads_the_store(store: Store, image: ResolvedImage, tmp_path: Path) -> None:
    assert umoci.run("ls", "--layout", store.layout.path).split() == [NAME]
    umoci.unpack(f"{store.layout.path}:{NAME}", tmp_path / "unpacked")
    trees = Trees(store.directory)
    trees.ensure(image).copy_to(str(tmp_path / "copied"))
    assert differences(tmp_path / "unpacked", tmp_path / "copied", skip=lambda name: name == b".") == []


def test_umoci_reads_a_store_of_several(store: Store, image: ResolvedImage, tmp_path: Path) -> None:
    """One of them is for another platform, one has two names."""
    source = MemorySource(reference="foreign:1")
    source.put_image(tar(member("f")), architecture="mips")
    fetch(store, None, source)
    store.tag(NAME, "second")
    assert sorted(umoci.run("ls", "--layout", store.layout.path).split()) == [
        NAME,
        "foreign:1",
        "second:latest",
    ]
    for number, name in enumerate((NAME, "second:latest", "foreign:1")):
        umoci.unpack(f"{store.layout.path}:{name}", tmp_path / f"{number}")
    assert [len(os.listdir(tmp_path / f"{number}")) for number in range(3)] == [3, 3, 1]


@pytest.mark.parametrize("kind", list(ArchiveFormat), ids=lambda kind: kind.value)
def test_podman_loads_what_is_saved(
    store: Store, image: ResolvedImage, tmp_path: Path, podman: list[str], kind: ArchiveFormat
) -> None:
    path = tmp_path / "image.tar"
    store.save([NAME], str(path), kind)
    subprocess.run([*podman, "load", "-i", str(path)], check=True, capture_output=True)
    shown = subprocess.run([*podman, "image", "inspect", NAME], check=True, capture_output=True, text=True)
    assert json.loads(shown.stdout)[0]["RootFS"]["Layers"] == list(image.diff_ids)


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive", "oci-dir", "docker-dir"])
def test_what_podman_saves_is_loaded(
    store: Store, image: ResolvedImage, tmp_path: Path, podman: list[str], kind: str
) -> None:
    store.save([NAME], str(tmp_path / "first.tar"), ArchiveFormat.DOCKER)
    subprocess.run([*podman, "load", "-i", str(tmp_path / "first.tar")], check=True, capture_output=True)
    path = tmp_path / "saved"
    subprocess.run(
        [*podman, "save", "--format", kind, "-o", str(path), NAME], check=True, capture_output=True
    )
    other = Store(str(tmp_path / "other"))
    loaded = other.import_path(str(path), name="loaded")
    assert loaded.diff_ids == image.diff_ids
    assert other.verify().broken == ()
