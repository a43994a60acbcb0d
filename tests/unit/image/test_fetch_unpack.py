"""Fetching and unpacking at once: bytes are unpacked as they come, and whatever fails leaves nothing."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from carob.errors import Cancelled, CarobError, CorruptData
from carob.image import Store, Trees, gc
from carob.image.cancel import Cancellation
from carob.image.fetch.fetch import fetch
from carob.image.fetch.progress import LayerProgress, Phase
from carob.image.store.blobs import partial_path
from carob.spec.oci.descriptor import CONFIG, LAYER_GZIP, MANIFEST
from carob.spec.oci.document import encode_document
from carob.spec.oci.manifest import Manifest
from tests.unit.image.archives import digest, directory, member, snapshot, tar
from tests.unit.image.memory_source import MemorySource

NOISE = os.urandom(60_000)
BASE = tar(directory("etc"), member("etc/passwd", b"root"), member("big", NOISE))
MIDDLE = tar(directory("etc"), member("etc/.wh.passwd"), member("etc/group", b"root"))
TOP = tar(member("bin/sh", NOISE[::-1], mode=0o755))
LAYERS = (BASE, MIDDLE, TOP)


def put_packed(source: MemorySource, *layers: bytes, diff_ids: list[str] | None = None) -> list[str]:
    """An image of gzip layers; the digests of its blobs."""
    descriptors = tuple(source.put(gzip.compress(layer, mtime=0), LAYER_GZIP) for layer in layers)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest(layer) for layer in layers]},
    }
    manifest = Manifest(source.put(encode_document(config), CONFIG), descriptors)
    data = encode_document(manifest.document())
    source.top = source.put(data, MANIFEST), data
    return [descriptor.digest for descriptor in descriptors]


@pytest.fixture
def source() -> MemorySource:
    source = MemorySource(reference="example.org/app:1")
    put_packed(source, *LAYERS)
    return source


def nothing_stray(data: Path) -> bool:
    return [os.listdir(data / name / ".tmp") for name in ("images", "layers")] == [[], []]


def merged(trees: Trees, store: Store, target: Path) -> dict[str, tuple[object, ...]]:
    trees.get(trees.ensure(store.resolve("example.org/app:1")).tree_id).copy_to(str(target))
    return snapshot(target)


def test_layers_are_there_when_the_name_is(
    store: Store, trees: Trees, source: MemorySource, data: Path, tmp_path: Path
) -> None:
    image = fetch(store, trees, source)
    assert all(os.path.isdir(trees.layer_path(chain_id)) for chain_id in image.chain_ids)
    shown = merged(trees, store, tmp_path / "out")
    assert set(shown) == {".", "etc", "etc/group", "big", "bin", "bin/sh"}
    assert nothing_stray(data)


def test_unpacking_goes_on_while_bytes_come(store: Store, trees: Trees, data: Path) -> None:
    """The last bytes of a layer are sent only when its first file is there."""
    source = MemorySource(reference="example.org/app:1")
    image_layer = tar(member("first", b"1"), member("noise", NOISE))
    put_packed(source, image_layer)
    chain_id = digest(image_layer)
    seen: list[bool] = []

    def wait_for_file(name: str, position: int) -> None:
        if position > 50_000 and not seen:
            deadline = time.monotonic() + 20
            path = Path(trees.workplace(chain_id), "tree", "first")
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.001)
            seen.append(path.exists())

    source.before_read = wait_for_file
    fetch(store, trees, source)
    assert seen == [True]


def test_phases(store: Store, trees: Trees, source: MemorySource) -> None:
    events: list[LayerProgress] = []
    fetch(store, trees, source, progress=events.append)
    for position in range(3):
        phases = [event.phase for event in events if event.position == position]
        order = list(dict.fromkeys(phases))
        assert order[0] is Phase.WAITING
        assert order[-1] is Phase.DONE
        assert order == [Phase.WAITING, Phase.DOWNLOADING, Phase.UNPACKING, Phase.DONE]
    events.clear()
    fetch(store, trees, source, name="again", progress=events.append)
    assert [event.phase for event in events] == [Phase.WAITING] * 3 + [Phase.SHARED] * 3


def test_blobs_that_are_there_are_unpacked(
    store: Store, trees: Trees, source: MemorySource, data: Path
) -> None:
    fetch(store, None, source)
    opened = source.opened.total()
    events: list[LayerProgress] = []
    image = fetch(store, trees, source, progress=events.append)
    assert source.opened.total() == opened
    assert all(os.path.isdir(trees.layer_path(chain_id)) for chain_id in image.chain_ids)
    assert [event.phase for event in events if event.position == 2] == [
        Phase.WAITING,
        Phase.UNPACKING,
        Phase.DONE,
    ]
    assert nothing_stray(data)


def test_the_same_blob_at_two_places(store: Store, trees: Trees, tmp_path: Path) -> None:
    source = MemorySource(reference="example.org/app:1")
    put_packed(source, BASE, MIDDLE, BASE)
    image = fetch(store, trees, source)
    assert len(set(image.chain_ids)) == 3
    assert source.opened.total() == 2
    assert "etc/passwd" in merged(trees, store, tmp_path / "out")


@pytest.mark.parametrize("wrong", range(3))
def test_a_wrong_diff_id_stops_all(
    store: Store, trees: Trees, source: MemorySource, data: Path, wrong: int
) -> None:
    diff_ids = [digest(layer) for layer in LAYERS]
    diff_ids[wrong] = digest(b"other")
    blobs = put_packed(source, *LAYERS, diff_ids=diff_ids)
    with pytest.raises(CorruptData, match=blobs[wrong]):
        fetch(store, trees, source)
    assert store.list() == []
    assert nothing_stray(data)  # nor parts of the other blobs: this image is not to be had
    gc(str(data), in_use=tuple)
    assert [path for path in (data / "layers").iterdir() if not path.name.startswith(".")] == []


def test_a_wrong_blob_is_never_unpacked(store: Store, trees: Trees, source: MemorySource, data: Path) -> None:
    """Of a blob with a good tar but another digest, all is unpacked before the last byte; nothing stays."""
    blobs = put_packed(source, *LAYERS)
    source.blobs[blobs[0]] += b"\0"  # zeros may follow a gzip stream
    with pytest.raises(CorruptData, match=blobs[0]):
        fetch(store, trees, source)
    assert not os.path.exists(trees.layer_path(digest(BASE)))
    assert not os.path.exists(partial_path(store.layout, blobs[0]))
    assert os.listdir(data / "layers" / ".tmp") == []


@pytest.mark.parametrize("rubbish", [b"x" * 1000, b"\x1f\x8b" + bytes(5000), gzip.compress(BASE)[:3000]])
def test_rubbish_of_an_earlier_download_costs_one_more(
    store: Store, trees: Trees, source: MemorySource, data: Path, rubbish: bytes
) -> None:
    blobs = put_packed(source, *LAYERS)
    path = Path(partial_path(store.layout, blobs[0]))
    path.parent.mkdir(parents=True)
    path.write_bytes(rubbish)
    image = fetch(store, trees, source)
    assert source.opened[blobs[0]] == 2
    assert all(os.path.isdir(trees.layer_path(chain_id)) for chain_id in image.chain_ids)
    assert nothing_stray(data)


@pytest.mark.parametrize("moment", range(1, 120, 9))
def test_called_off_at_any_time(
    store: Store, trees: Trees, source: MemorySource, data: Path, moment: int, tmp_path: Path
) -> None:
    cancel = Cancellation()
    reads = 0

    def call_off(name: str, position: int) -> None:
        nonlocal reads
        reads += 1
        if reads == moment:
            cancel.cancel()

    source.before_read = call_off
    with pytest.raises(Cancelled):
        fetch(store, trees, source, cancel=cancel)
    assert store.list() == []
    assert os.listdir(data / "layers" / ".tmp") == []
    source.before_read = lambda name, position: None
    fetch(store, trees, source)
    assert nothing_stray(data)
    assert len(merged(trees, store, tmp_path / "out")) == 6


def test_collecting_all_the_time(store: Store, trees: Trees, source: MemorySource, data: Path) -> None:
    done = threading.Event()
    problems: list[object] = []

    def collect() -> None:
        while not done.is_set():
            problems.extend(gc(str(data), in_use=tuple, partial_grace_s=0).problems)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for number in range(10):
            image = fetch(store, trees, source, name=f"n{number}")
            assert all(os.path.isdir(trees.layer_path(chain_id)) for chain_id in image.chain_ids)
            store.remove(f"n{number}")
    finally:
        done.set()
        thread.join(20)
    assert problems == []


FETCH = """
import sys, time
from carob.image import Store, Trees
from carob.image.fetch.fetch import fetch
from tests.unit.image.memory_source import MemorySource
from tests.unit.image.test_fetch_unpack import put_packed, big_layers

source = MemorySource(reference="example.org/app:1")
put_packed(source, *big_layers())
source.before_read = lambda name, position: time.sleep(0.00005)
fetch(Store(sys.argv[1]), Trees(sys.argv[1]), source)
print(*(source.opened[layer.digest] for layer in Store(sys.argv[1]).resolve("example.org/app:1").layers))
"""


def big_layers() -> list[bytes]:
    """Three layers of some hundred files each; the same in every process."""
    return [
        tar(
            *(
                member(f"{layer}/{number}", bytes((number * 7 + n * layer) % 251 for n in range(3000)))
                for number in range(100)
            )
        )
        for layer in (1, 2, 3)
    ]


def start(data: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, str(data)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def test_two_processes_share_the_work(store: Store, trees: Trees, data: Path) -> None:
    processes = [start(data), start(data)]
    opened = [[int(count) for count in process.communicate()[0].split()] for process in processes]
    assert [one + other for one, other in zip(*opened, strict=True)] == [1, 1, 1]
    assert nothing_stray(data)


@pytest.mark.slow
def test_killed_at_any_time_it_gets_there(store: Store, trees: Trees, data: Path) -> None:
    started = time.monotonic()
    start(data).communicate()
    whole_s = time.monotonic() - started
    subprocess.run(["rm", "-r", str(data)], check=True)
    for number in range(12):
        process = start(data)
        time.sleep(whole_s * number / 10)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert [summary.problem for summary in store.list()] in ([], [""])
        for summary in store.list():
            trees.ensure(store.resolve(summary.image_id))
        if number % 4 == 3:
            gc(str(data), in_use=tuple)
    assert start(data).communicate()[0] != ""
    assert nothing_stray(data)
    tree = trees.get(trees.ensure(store.resolve("example.org/app:1")).tree_id)
    assert [len(list(Path(lower).rglob("*"))) for lower in tree.lower_dirs] == [101] * 3


def test_a_full_disk_is_said_and_given_back(tmp_path: Path, source: MemorySource) -> None:
    """In a mount namespace of its own, on a file system of half a megabyte."""
    from tests.needs import require_root

    require_root()
    script = """
import os, sys
from carob.errors import OutOfResources
from carob.image import Store, Trees, gc
from carob.image.fetch.fetch import fetch
from tests.unit.image.memory_source import MemorySource
from tests.unit.image.test_fetch_unpack import put_packed
from tests.unit.image.archives import tar, member

store, trees = Store(sys.argv[1]), Trees(sys.argv[1])
noise, dense = os.urandom(700_000), bytes(range(256)) * 8000
for layers in ([noise], [dense], [noise[:150_000], noise[150_000:300_000], dense]):
    source = MemorySource(reference="app")
    put_packed(source, *(tar(member("big", data + bytes([n]))) for n, data in enumerate(layers)))
    try:
        fetch(store, trees, source)
    except OutOfResources as error:
        print(type(error).__name__, bool(error.hint), store.list(), os.listdir(sys.argv[1] + "/layers/.tmp"))
    gc(sys.argv[1], in_use=tuple)
source = MemorySource(reference="app")
put_packed(source, tar(member("small", bytes(1000))))
print(fetch(store, trees, source).name)
"""
    (tmp_path / "small").mkdir()
    result = subprocess.run(
        [
            "unshare",
            "-m",
            "sh",
            "-c",
            'mount -t tmpfs -o size=512k,nr_inodes=200 none "$1" && exec "$2" -c "$3" "$1/data"',
            "sh",
            str(tmp_path / "small"),
            sys.executable,
            script,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[-1] == "app:latest"
    assert set(lines[:-1]) == {"OutOfResources True [] []"}
    assert len(lines) == 4


def test_errors_name_the_layer(store: Store, trees: Trees) -> None:
    source = MemorySource(reference="app")
    blobs = put_packed(source, tar(member("../../etc/passwd", b"x")))
    with pytest.raises(CarobError, match=blobs[0]):
        fetch(store, trees, source)
