from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import carob.image
from carob.errors import CorruptData, InvalidInput, NotFound
from carob.image import ResolvedImage, Store
from tests.unit.image.archives import layout_of, member, tar


@pytest.fixture
def image(store: Store, tmp_path: Path) -> ResolvedImage:
    return store.import_path(str(layout_of(tmp_path / "layout", tar(member("a")))), name="example.org/app:1")


def test_all_the_ways_to_an_image(store: Store, image: ResolvedImage) -> None:
    digits = image.image_id.removeprefix("sha256:")
    for name in (
        "example.org/app:1",
        f"example.org/app@{image.image_id}",
        f"example.org/app:1@{image.image_id}",
        image.image_id,
        digits,
        digits[:12],
        image.image_id[:11],
    ):
        assert store.resolve(name).image_id == image.image_id


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("example.org/app", NotFound),
        ("app:1", NotFound),
        ("example.org/other@{id}", NotFound),
        ("example.org/app@sha256:" + "0" * 64, NotFound),
        ("sha256:" + "0" * 64, NotFound),
        ("0" * 64, NotFound),
        ("sha256:xyz", InvalidInput),
        ("", InvalidInput),
        ("Example.org/App", InvalidInput),
        ("../../etc/passwd", InvalidInput),
    ],
)
def test_ways_to_nothing(store: Store, image: ResolvedImage, name: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        store.resolve(name.format(id=image.image_id))
    assert caught.value.hint  # type: ignore[attr-defined]


def test_the_hint_names_other_tags(store: Store, image: ResolvedImage) -> None:
    with pytest.raises(NotFound) as caught:
        store.resolve("example.org/app:2")
    assert "example.org/app:1" in caught.value.hint


def test_a_name_wins_over_an_id(store: Store, image: ResolvedImage, tmp_path: Path) -> None:
    name = image.image_id.removeprefix("sha256:")[:10]
    other = store.import_path(str(layout_of(tmp_path / "other", tar(member("b")))), name=name)
    assert store.resolve(name).image_id == other.image_id


def test_a_beginning_of_two_ids(store: Store, data: Path, image: ResolvedImage) -> None:
    index = data / "images" / "index.json"
    document = json.loads(index.read_text())
    entry = document["manifests"][0]
    alike = image.image_id[:11] + ("0" if image.image_id[11] != "0" else "1") * 60
    document["manifests"].append({**entry, "digest": alike, "annotations": {}})
    index.write_text(json.dumps(document))
    assert image.image_id[:11] == alike[:11]
    with pytest.raises(InvalidInput, match="2 image ids"):
        store.resolve(image.image_id[:11])
    with pytest.raises(InvalidInput, match="2 image ids"):
        store.remove(image.image_id[7:11])
    assert store.resolve(image.image_id[:12]) == store.resolve(image.image_id)


@pytest.mark.parametrize("length", [1, 3])
def test_an_id_needs_four_digits(store: Store, image: ResolvedImage, length: int) -> None:
    beginning = image.image_id[: len("sha256:") + length]
    for call in (store.resolve, store.remove, store.inspect):
        with pytest.raises(InvalidInput, match="too short") as caught:
            call(beginning)
        assert "4 digits" in caught.value.hint
    with pytest.raises(NotFound):
        store.remove(beginning.removeprefix("sha256:"))  # it may be a name, and there is none
    assert store.resolve(image.image_id[: len("sha256:") + 4]) == store.resolve(image.image_id)


def test_one_broken_entry_harms_no_other(store: Store, data: Path, image: ResolvedImage) -> None:
    index = data / "images" / "index.json"
    document = json.loads(index.read_text())
    document["manifests"] = [
        5,
        {"digest": 1, "annotations": {"x": []}},
        {"annotations": 3},
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha512:" + "0" * 128,
            "size": 3,
        },
        *document["manifests"],
    ]
    document["unknown"] = {"kept": True}
    index.write_text(json.dumps(document))
    assert store.resolve("example.org/app:1").image_id == image.image_id
    for name in (image.image_id, image.image_id[7:20]):
        assert store.resolve(name).image_id == image.image_id
    assert len(store.list()) == 5
    store.tag("example.org/app:1", "second")
    assert json.loads(index.read_text())["unknown"] == {"kept": True}
    assert store.resolve("second").image_id == image.image_id


@pytest.mark.parametrize("part", ["image_id", "config_digest"])
def test_a_document_that_rots_is_named(store: Store, data: Path, image: ResolvedImage, part: str) -> None:
    digest = getattr(image, part)
    blob = data / "images" / "blobs" / "sha256" / digest.removeprefix("sha256:")
    blob.write_bytes(blob.read_bytes().replace(b"linux", b"l1nux").replace(b"gzip", b"gz1p"))
    with pytest.raises(CorruptData, match=digest):
        store.resolve("example.org/app:1")


def test_an_image_is_a_value(store: Store, image: ResolvedImage) -> None:
    again = pickle.loads(pickle.dumps(image))
    assert (again, again.config, again.layers) == (image, image.config, image.layers)
    assert hash(again) == hash(image)
    with pytest.raises(AttributeError):
        image.name = "other"  # type: ignore[misc]


LOADED = """
import sys
before = set(sys.modules)
import carob.image
package = set(sys.modules) - before
from carob.image import Store, Trees
image = Store(sys.argv[1]).resolve("example.org/app:1")
after_resolve = set(sys.modules) - before
try:
    Trees(sys.argv[1]).layer_path(image.chain_ids[0])
finally:
    print(sorted(package), sorted(after_resolve), sep="\\n")
"""


def test_what_is_loaded(image: ResolvedImage, data: Path) -> None:
    """The package loads nothing; resolving loads nothing that takes time."""
    source = Path(carob.image.__file__ or "").parents[2]
    program = f"import sys; sys.path.insert(0, {str(source)!r})\n" + LOADED
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(data)], check=True, capture_output=True, text=True
    )
    package, resolved = (set(json.loads(line.replace("'", '"'))) for line in run.stdout.splitlines())
    assert {name for name in package if not name.startswith("carob.")} <= {"carob", "__future__"}
    assert {name for name in package if name.startswith("carob.")} <= {"carob.image"}
    slow = {
        "json",
        "re",
        "hashlib",
        "typing",
        "enum",
        "dataclasses",
        "tarfile",
        "collections",
        "pathlib",
        "struct",
    }
    assert resolved & slow == set()
    assert "carob.linux.syscall" not in resolved


def test_the_hint_tells_how_to_name_a_registrys_image(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        store.resolve("alpine")
    assert "docker://HOST/alpine:latest" in caught.value.hint
    with pytest.raises(NotFound) as caught:
        store.resolve("example.org/alpine")
    assert "HOST" not in caught.value.hint
