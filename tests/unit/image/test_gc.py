from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from carob.errors import Conflict, CorruptData, NotFound
from carob.image import Store, Trees, gc
from carob.image.store.blobs import HeldBlobs
from carob.image.store.resolved import ResolvedImage
from tests.unit.image.archives import layout_of, member, put_blob, tar

BASE, ONE, TWO = tar(member("base")), tar(member("one")), tar(member("two"))

Import = Callable[..., ResolvedImage]


@pytest.fixture
def take(store: Store, tmp_path: Path) -> Import:
    def run(name: str, *layers: bytes) -> ResolvedImage:
        return store.import_path(str(layout_of(tmp_path / f"layout-{name}", *layers)), name=name)

    return run


def nothing() -> tuple[str, ...]:
    return ()


def layers_of(data: Path) -> set[str]:
    return {"sha256:" + path.name for path in (data / "layers").iterdir() if not path.name.startswith(".")}


def blobs_of(data: Path) -> set[str]:
    return {"sha256:" + path.name for path in (data / "images" / "blobs" / "sha256").iterdir()}


def test_an_image_with_a_name_stays_whole(take: Import, trees: Trees, data: Path) -> None:
    image = take("app", BASE, ONE)
    trees.ensure(image)
    collected = gc(str(data), in_use=nothing)
    assert (collected.blobs, collected.layers, collected.problems) == (0, 0, ())
    assert layers_of(data) == set(image.chain_ids)


def test_what_no_name_leads_to_goes(take: Import, store: Store, trees: Trees, data: Path) -> None:
    one, two = take("one", BASE, ONE), take("two", BASE, TWO)
    trees.ensure(one)
    trees.ensure(two)
    store.remove("one")
    collected = gc(str(data), in_use=nothing)
    assert (collected.blobs, collected.layers) == (3, 1)  # a layer, a configuration, a manifest
    assert collected.blob_bytes > 0
    assert layers_of(data) == set(two.chain_ids)
    assert trees.ensure(store.resolve("two")).lower_dirs
    store.remove("two")
    gc(str(data), in_use=nothing)
    assert layers_of(data) == set()
    assert blobs_of(data) == set()
    assert os.listdir(data / "layers" / ".chains") == []


def test_what_a_pod_uses_stays(take: Import, store: Store, trees: Trees, data: Path) -> None:
    """A pod names the last chain id of its tree; the layers below are known from that."""
    image = take("app", BASE, ONE)
    tree = trees.ensure(image)
    store.remove("app")
    collected = gc(str(data), in_use=lambda: image.chain_ids[-1:])
    assert collected.layers == 0
    assert blobs_of(data) == set()
    assert trees.get(tree.tree_id) == tree


def test_a_hold_protects_what_is_not_written_down_yet(
    take: Import, store: Store, trees: Trees, data: Path
) -> None:
    image = take("app", BASE, ONE)
    with trees.hold(image) as tree:
        store.remove("app")
        assert gc(str(data), in_use=nothing).layers == 0
        assert all(os.path.isdir(lower) for lower in tree.lower_dirs)
    assert gc(str(data), in_use=nothing).layers == 2


def test_who_writes_down_during_a_collection_is_seen(
    take: Import, store: Store, trees: Trees, data: Path
) -> None:
    """The pod's file is written, and its hold let go, between the first look and the locks."""
    image = take("app", BASE)
    trees.ensure(image)
    store.remove("app")
    looks = []

    def in_use() -> tuple[str, ...]:
        looks.append(1)
        return image.chain_ids if len(looks) > 1 else ()

    assert gc(str(data), in_use=in_use).layers == 0
    assert layers_of(data) == set(image.chain_ids)


def test_blobs_of_an_import_under_way_stay(take: Import, store: Store, data: Path) -> None:
    take("app", BASE)
    with HeldBlobs(store.layout) as blobs, blobs.new() as unfinished:
        unfinished.write(b"half")
        digest = blobs.put(b"not named yet")
        gc(str(data), in_use=nothing)
        assert digest in blobs_of(data)
        assert len(os.listdir(data / "images" / ".tmp")) == 1
    collected = gc(str(data), in_use=nothing)
    assert collected.blobs == 1
    assert digest not in blobs_of(data)


def test_what_dead_writers_left_goes(take: Import, trees: Trees, data: Path) -> None:
    image = take("app", BASE)
    trees.ensure(image)
    (data / "layers" / ".tmp" / ("1" * 64) / "tree" / "etc").mkdir(parents=True)
    (data / "images" / ".tmp" / "blob-1-x").write_bytes(b"half")
    (data / "images" / ".tmp" / "archive-1-x" / "blobs").mkdir(parents=True)
    gc(str(data), in_use=nothing)
    assert os.listdir(data / "layers" / ".tmp") == []
    assert os.listdir(data / "images" / ".tmp") == []
    assert layers_of(data) == set(image.chain_ids)


def test_blobs_of_other_tools_have_their_grace(take: Import, data: Path) -> None:
    take("app", BASE)
    digest = put_blob(data / "images", b"written by another tool")
    assert gc(str(data), in_use=nothing, grace_s=3600).blobs == 0
    assert gc(str(data), in_use=nothing).blobs == 1
    assert digest not in blobs_of(data)


def test_an_unreadable_index_stops_the_collection(take: Import, trees: Trees, data: Path) -> None:
    image = take("app", BASE)
    trees.ensure(image)
    blobs = blobs_of(data)
    (data / "images" / "index.json").write_text("{")
    with pytest.raises(CorruptData, match=r"index\.json"):
        gc(str(data), in_use=nothing)
    assert (blobs_of(data), layers_of(data)) == (blobs, set(image.chain_ids))


def test_a_broken_image_is_reported_and_passed_over(take: Import, store: Store, data: Path) -> None:
    good, bad = take("good", BASE), take("bad", ONE)
    (data / "images" / "blobs" / "sha256" / bad.image_id.removeprefix("sha256:")).write_bytes(b"{}")
    collected = gc(str(data), in_use=nothing)
    assert len(collected.problems) == 1
    assert bad.image_id in collected.problems[0]
    assert store.resolve("good").image_id == good.image_id
    assert [(summary.names, bool(summary.problem)) for summary in store.list()] == [
        (("bad:latest",), True),
        (("good:latest",), False),
    ]
    store.remove("bad")
    assert gc(str(data), in_use=nothing).problems == ()


def test_a_store_that_is_not_there(data: Path) -> None:
    assert gc(str(data), in_use=nothing).blobs == 0
    assert not data.exists()


COLLECT = """
import sys
from carob.image import gc
while True:
    gc(sys.argv[1], in_use=tuple)
"""


def test_collecting_all_the_time_harms_nobody(take: Import, store: Store, trees: Trees, data: Path) -> None:
    take("keep", BASE)
    collector = subprocess.Popen([sys.executable, "-c", COLLECT, str(data)], stderr=subprocess.PIPE)
    try:
        for _ in range(15):
            image = take("app", BASE, ONE)
            with trees.hold(store.resolve("app")) as tree:
                store.remove("app")
                assert [os.listdir(lower) for lower in tree.lower_dirs] == [["one"], ["base"]]
                assert tree.chain_ids == image.chain_ids
        assert collector.poll() is None
    finally:
        collector.kill()
        error = collector.communicate()[1]
    assert error == b""


def test_removing_a_name_keeps_the_others(take: Import, store: Store) -> None:
    image = take("app", BASE)
    store.tag("app", "other:2")
    store.remove("app", in_use=[image.image_id])  # another name is left
    assert [summary.names for summary in store.list()] == [("other:2",)]
    for in_use in ([image.image_id], [image.chain_ids[-1]]):
        with pytest.raises(Conflict, match="other"):
            store.remove("other:2", in_use=in_use)
    store.remove("other:2", in_use=["sha256:" + "0" * 64])
    with pytest.raises(NotFound):
        store.resolve("other:2")


def test_removing_by_id_takes_all_names(take: Import, store: Store) -> None:
    image = take("app", BASE)
    store.tag("app", "other")
    with pytest.raises(Conflict):
        store.remove(image.image_id[:15], in_use=[image.image_id])
    store.remove(image.image_id[:15])
    assert store.list() == []
    with pytest.raises(NotFound):
        store.remove("app")


def test_a_name_with_a_digest_stands_for_its_repository(take: Import, store: Store) -> None:
    for name in ("app:1", "localhost:5000/app:1", "localhost:7"):
        take(name.replace("/", "-").replace(":", "-"), BASE)
        store.tag(name.replace("/", "-").replace(":", "-"), name)
    digest = store.resolve("app:1").image_id
    store.remove(f"app@{digest}")
    with pytest.raises(NotFound):
        store.resolve("app:1")
    store.remove(f"localhost:5000/app@{digest}")
    with pytest.raises(NotFound):
        store.resolve("localhost:5000/app:1")
    assert store.resolve("localhost:7").image_id == digest


FEW_DESCRIPTORS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
from carob.image import gc
print(gc(sys.argv[1], in_use=tuple))
"""


def test_a_thousand_strays_and_few_descriptors(take: Import, store: Store, trees: Trees, data: Path) -> None:
    trees.ensure(take("app", BASE))
    store.remove("app")
    for number in range(400):
        put_blob(data / "images", b"%d" % number)
        (data / "images" / ".tmp" / f"blob-{number}").touch()
        (data / "layers" / f"{number:064}").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", FEW_DESCRIPTORS, str(data)], capture_output=True, text=True, check=True
    )
    assert "blobs=403, layers=401" in run.stdout
    assert run.stdout.rstrip().endswith("problems=())")
    assert (blobs_of(data), layers_of(data), os.listdir(data / "images" / ".tmp")) == (set(), set(), [])
