from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from carob.errors import Conflict, NotFound
from carob.image import ResolvedImage, Store, Trees, gc
from carob.image.fetch.fetch import fetch
from carob.image.store.blobs import HeldBlobs
from tests.unit.image.archives import digest, directory, member, symlink, tar
from tests.unit.image.memory_source import MemorySource

BASE = tar(
    directory("etc"), member("etc/passwd", b"root" * 100), symlink("link", "etc"), member("empty", b"")
)
TOP = tar(directory("etc"), member("etc/group", b"users"), member("etc/.wh.passwd"))


@pytest.fixture
def source() -> MemorySource:
    source = MemorySource(reference="app")
    source.put_image(BASE, TOP)
    return source


@pytest.fixture
def image(store: Store, trees: Trees, source: MemorySource) -> ResolvedImage:
    return fetch(store, trees, source)


def quarantined(data: Path) -> list[str]:
    return [name for part in ("images", "layers") for name in _names(data / part / ".quarantine")]


def _names(path: Path) -> list[str]:
    return os.listdir(path) if path.exists() else []


def test_a_whole_store(store: Store, image: ResolvedImage, data: Path) -> None:
    found = store.verify()
    assert (found.blobs, found.layers, found.broken, found.unrecorded) == (4, 2, (), ())
    blobs = Path(store.layout.path, "blobs/sha256")
    assert found.blob_bytes == sum(path.stat().st_size for path in blobs.iterdir())
    assert quarantined(data) == []


def test_an_empty_store(store: Store) -> None:
    found = store.verify()
    assert (found.blobs, found.layers, found.broken) == (0, 0, ())


def flip(path: Path) -> None:
    """Changes one bit, as a disk would: neither size nor times show it."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("which", ["layer", "config", "manifest"])
def test_a_rotten_blob_and_nothing_else_is_put_aside(
    store: Store, trees: Trees, source: MemorySource, image: ResolvedImage, data: Path, which: str
) -> None:
    digests = {"layer": image.layers[0].digest, "config": image.config_digest, "manifest": image.image_id}
    path = Path(store.layout.blob_path(digests[which]))
    flip(path)
    rotten = path.read_bytes()
    assert store.verify(quarantine=False).broken[0].moved_to == ""
    assert path.exists()
    found = store.verify()
    assert [(broken.kind, broken.name) for broken in found.broken] == [
        ("blob", digests[which]),
        ("image", "app:latest"),
    ]
    assert "its digest is" in found.broken[0].problem
    assert Path(found.broken[0].moved_to).read_bytes() == rotten
    assert len(quarantined(data)) == 1
    opened, asked = source.opened.copy(), source.asked.copy()
    fetch(store, trees, source)
    brought = (source.opened - opened) + (source.asked - asked)
    assert brought == ({digests[which]: 1} if which != "manifest" else {})  # that one always comes
    assert store.verify().broken == ()


SPOIL = {
    "content": lambda top: flip(top / "etc" / "passwd"),
    "missing": lambda top: (top / "etc" / "passwd").unlink(),
    "more": lambda top: (top / "etc" / "shadow").write_text("x"),
    "mode": lambda top: (top / "etc" / "passwd").chmod(0o4755),
    "owner": lambda top: os.chown(top / "etc", 1, 1),
    "time": lambda top: os.utime(top / "etc" / "passwd", ns=(1, 1)),
    "link": lambda top: ((top / "link").unlink(), (top / "link").symlink_to("/etc")),
    "type": lambda top: ((top / "empty").unlink(), (top / "empty").mkdir()),
    "attribute": lambda top: os.setxattr(top / "etc" / "passwd", "user.x", b"y"),
}


@pytest.mark.parametrize("spoil", SPOIL.values(), ids=SPOIL.keys())
def test_a_changed_layer_is_put_aside_and_unpacked_again(
    store: Store, trees: Trees, image: ResolvedImage, data: Path, spoil: object
) -> None:
    top = Path(trees.layer_path(image.chain_ids[0]))
    spoil(top)  # type: ignore[operator]
    found = store.verify()
    assert [(broken.kind, broken.name) for broken in found.broken] == [("layer", image.chain_ids[0])]
    assert not top.exists()
    assert [name.split(".")[0] for name in quarantined(data)] == [top.name]
    with pytest.raises(NotFound):
        trees.get("sha256-" + image.chain_ids[-1][7:])
    trees.ensure(image)
    assert store.verify().broken == ()
    assert (top / "etc" / "passwd").read_bytes() == b"root" * 100


def test_what_is_held_stays(store: Store, trees: Trees, image: ResolvedImage, data: Path) -> None:
    path = Path(store.layout.blob_path(image.layers[1].digest))
    flip(path)
    (Path(trees.layer_path(image.chain_ids[1])) / "new").touch()
    with HeldBlobs(store.layout) as blobs, trees.hold(image):
        assert blobs.hold_present(image.layers[1])
        found = store.verify()
        assert [broken.moved_to for broken in found.broken] == ["", ""]
        assert all("in use" in broken.problem for broken in found.broken)
    assert path.exists()
    assert len(store.verify().broken) == 3  # both, and the image that lacks its layer now
    assert len(quarantined(data)) == 2


def test_what_is_no_blob_at_all(store: Store, image: ResolvedImage, data: Path) -> None:
    blobs = Path(store.layout.path, "blobs/sha256")
    (blobs / "README").write_text("x")
    (blobs / ("0" * 64)).symlink_to("/etc/passwd")
    (blobs / ("1" * 64)).mkdir()
    os.mkfifo(blobs / ("2" * 64))
    found = store.verify()
    assert sorted(broken.name[-1] for broken in found.broken) == ["0", "1", "2", "E"]
    assert len(quarantined(data)) == 4
    assert store.verify().broken == ()


def test_a_layer_without_a_record_is_only_named(store: Store, trees: Trees, image: ResolvedImage) -> None:
    os.unlink(trees.record_path(image.chain_ids[0]))
    found = store.verify()
    assert (found.broken, found.unrecorded) == ((), (image.chain_ids[0],))


def test_a_layer_recorded_by_a_newer_carob_is_only_named(
    store: Store, trees: Trees, image: ResolvedImage, data: Path
) -> None:
    record = Path(trees.record_path(image.chain_ids[1]))
    record.write_bytes(record.read_bytes().replace(b"carob layer 1 ", b"carob layer 2 "))
    found = store.verify()
    assert (found.broken, found.unrecorded) == ((), (image.chain_ids[1],))
    assert quarantined(data) == []
    record.write_bytes(b"something else\n")
    assert [broken.name for broken in store.verify().broken] == [image.chain_ids[1]]


def test_images_that_lack_something_are_named(store: Store, image: ResolvedImage) -> None:
    os.unlink(store.layout.blob_path(image.layers[0].digest))
    index = Path(store.layout.path, "index.json")
    document = json.loads(index.read_text())
    document["manifests"].append(
        {"digest": digest(b"lost"), "size": 5, "mediaType": document["manifests"][0]["mediaType"]}
    )
    index.write_text(json.dumps(document))
    found = store.verify()
    assert [broken.kind for broken in found.broken] == ["image", "image"]
    assert {broken.name for broken in found.broken} == {"app:latest", digest(b"lost")}


def test_what_was_put_aside_goes_in_the_end(
    store: Store, trees: Trees, image: ResolvedImage, data: Path
) -> None:
    flip(Path(store.layout.blob_path(image.layers[0].digest)))
    (Path(trees.layer_path(image.chain_ids[1])) / "new").touch()
    store.verify()
    gc(str(data), in_use=tuple)
    assert len(quarantined(data)) == 2
    # A pod that uses the layer still needs to know those below.
    assert trees.chain_of(image.chain_ids[1]) == image.chain_ids
    store.remove("app")
    gc(str(data), in_use=lambda: image.chain_ids[1:], quarantine_grace_s=0)
    # And one that runs has it mounted still.
    assert [name[:64] for name in quarantined(data)] == [image.chain_ids[1][7:]]
    assert Path(trees.layer_path(image.chain_ids[0])).is_dir()
    gc(str(data), in_use=tuple, quarantine_grace_s=0)
    assert quarantined(data) == []
    assert os.listdir(data / "layers" / ".chains") == []
    assert os.listdir(data / "layers" / ".records") == []


def test_what_a_named_image_has_anew_goes_all_the_same(
    store: Store, trees: Trees, image: ResolvedImage, data: Path
) -> None:
    (Path(trees.layer_path(image.chain_ids[1])) / "new").touch()
    store.verify()
    trees.ensure(image)
    gc(str(data), in_use=tuple, quarantine_grace_s=0)
    assert quarantined(data) == []


def test_what_is_held_stays_whatever_is_lacking(
    store: Store, image: ResolvedImage, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no descriptor left for the lock, nobody knows whether it is held."""
    path = Path(store.layout.blob_path(image.layers[0].digest))
    flip(path)

    def lock(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("carob.image.store.verify.lock", lock)
    broken = store.verify().broken
    assert [(one.kind, one.moved_to) for one in broken] == [("blob", "")]
    assert broken[0].problem.endswith("(Too many open files, so it stays)")
    assert path.exists()


def test_the_store_of_another_user_is_left_alone(store: Store, image: ResolvedImage, data: Path) -> None:
    """Of its layers each owner would be another one."""
    (data / "layers" / ".form").write_text("user\n")
    with pytest.raises(Conflict, match="in the form 'user', not 'trusted'"):
        store.verify()
    assert quarantined(data) == []
