from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from carob.errors import (
    Cancelled,
    CarobError,
    CorruptData,
    InvalidInput,
    NotFound,
    OutOfResources,
    Rejected,
    Unavailable,
    Unsupported,
)
from carob.image import Store, Trees, gc
from carob.image.cancel import Cancellation
from carob.image.fetch.documents import ManifestDocument
from carob.image.fetch.fetch import fetch
from carob.image.fetch.progress import LayerProgress, Phase
from carob.image.limits import ImageLimits
from carob.image.sources.source import BlobReader, Source
from carob.spec.oci.descriptor import CONFIG, INDEX, LAYER, MANIFEST, Descriptor
from carob.spec.oci.document import encode_document
from tests.needs import require_root
from tests.unit.image.archives import digest, member, tar
from tests.unit.image.memory_source import MemorySource

ONE, TWO, THREE = (tar(member(name, name.encode() * 5000)) for name in ("one", "two", "three"))


@pytest.fixture
def source() -> MemorySource:
    source = MemorySource(reference="example.org/app:1")
    source.put_image(ONE, TWO, ONE)
    return source


def temporaries(store: Store) -> list[str]:
    return os.listdir(f"{store.layout.path}/.tmp")


def test_an_image_comes_in_under_its_name(store: Store, source: MemorySource) -> None:
    image = fetch(store, None, source)
    assert image.name == "example.org/app:1"
    assert image == store.resolve("example.org/app:1")
    assert image.diff_ids == (digest(ONE), digest(TWO), digest(ONE))
    assert source.opened == {digest(ONE): 1, digest(TWO): 1}
    assert temporaries(store) == []
    assert not source.is_closed


def test_names(store: Store, source: MemorySource) -> None:
    assert fetch(store, None, source, name="other").name == "other:latest"
    with pytest.raises(InvalidInput, match="digest cannot be given"):
        fetch(store, None, source, name="other@" + digest(b""))
    source.reference = ""
    with pytest.raises(InvalidInput, match="no name of its own"):
        fetch(store, None, source)
    assert [summary.names for summary in store.list()] == [("other:latest",)]


def test_what_is_there_is_not_asked_for_again(store: Store, source: MemorySource) -> None:
    first = fetch(store, None, source)
    asked, opened = source.asked.total(), source.opened.total()
    assert fetch(store, None, source, name="again").image_id == first.image_id
    assert (source.asked.total(), source.opened.total()) == (asked, opened)
    source.put_image(ONE, THREE)
    fetch(store, None, source)
    assert source.opened == {digest(ONE): 1, digest(TWO): 1, digest(THREE): 1}


def test_a_moved_name_leaves_the_old_image_to_gc(store: Store, source: MemorySource, data: Path) -> None:
    first = fetch(store, None, source)
    source.put_image(THREE)
    second = fetch(store, None, source)
    assert store.resolve("example.org/app:1").image_id == second.image_id
    assert gc(str(data), in_use=tuple).blobs == 4  # two layers, a configuration, a manifest
    with pytest.raises(NotFound):
        store.resolve(first.image_id)


def test_several_layers_at_once(store: Store, source: MemorySource) -> None:
    """Each of three downloads waits for the other two."""
    source.put_image(ONE, TWO, THREE)
    together = threading.Barrier(3, timeout=20)

    def meet(name: str, position: int) -> None:
        if position == 0:
            together.wait()

    source.before_read = meet
    fetch(store, None, source, jobs=3)
    assert not together.broken


def test_one_layer_at_a_time(store: Store, source: MemorySource) -> None:
    source.put_image(ONE, TWO, THREE)
    order: list[str] = []
    source.before_read = lambda name, position: order.append(name) if position == 0 else None
    fetch(store, None, source, jobs=1)
    assert order == [digest(ONE), digest(TWO), digest(THREE)]


def test_progress(store: Store, source: MemorySource) -> None:
    events: list[LayerProgress] = []
    source.before_read = lambda name, position: time.sleep(0.01)
    fetch(store, None, source, progress=events.append)
    assert [(event.position, event.phase) for event in events[:3]] == [(n, Phase.WAITING) for n in range(3)]
    for position, size in enumerate((len(ONE), len(TWO), len(ONE))):
        mine = [event for event in events if event.position == position]
        assert mine[-1].phase is Phase.DONE
        assert [event.done_bytes for event in mine] == sorted(event.done_bytes for event in mine)
        assert (mine[-1].done_bytes, mine[-1].size_bytes, mine[-1].layers) == (size, size, 3)
    events.clear()
    fetch(store, None, source, progress=events.append)
    assert [event.phase for event in events] == [Phase.WAITING] * 3 + [Phase.SHARED] * 3


def test_what_the_callback_raises_ends_the_fetch(store: Store, source: MemorySource) -> None:
    def callback(event: LayerProgress) -> None:
        if event.phase is Phase.DOWNLOADING:
            raise KeyError("a mistake of the caller's")

    with pytest.raises(KeyError, match="mistake"):
        fetch(store, None, source, progress=callback)
    assert store.list() == []


# --- what is refused ------------------------------------------------------------------------------


def test_a_policy_is_asked_before_any_layer(store: Store, source: MemorySource) -> None:
    seen: list[ManifestDocument] = []

    def refuse(asked: Source, found: ManifestDocument) -> None:
        assert asked is source
        seen.append(found)
        raise Rejected("unsigned")

    with pytest.raises(Rejected):
        fetch(store, None, source, accept=refuse)
    assert source.root()[1] == seen[0].data
    assert seen[0].root == seen[0].descriptor
    assert source.opened.total() == 0
    assert store.list() == []


def test_limits(store: Store, source: MemorySource) -> None:
    for limits in (ImageLimits(layer_bytes=len(TWO) - 1), ImageLimits(image_bytes=len(ONE) + len(TWO) - 1)):
        with pytest.raises(OutOfResources, match=r"memory:source.*bytes"):
            fetch(store, None, source, limits=limits)
    assert source.opened.total() == 0
    fetch(store, None, source, limits=ImageLimits(image_bytes=len(ONE) + len(TWO)))


def spoil_layer(source: MemorySource) -> None:
    source.blobs[digest(TWO)] = TWO[:-1] + b"x"


def spoil_config(source: MemorySource) -> None:
    manifest = json.loads(source.root()[1])
    config = manifest["config"]["digest"]
    source.blobs[config] = source.blobs[config].replace(b"linux", b"LINUX")


def spoil_root(source: MemorySource) -> None:
    assert source.top is not None
    source.top = source.top[0], source.top[1] + b" "


def lose_layer(source: MemorySource) -> None:
    del source.blobs[digest(ONE)]


def wrong_root_digest(source: MemorySource) -> None:
    assert source.top is not None
    source.top = Descriptor(MANIFEST, digest(b"other"), len(source.top[1])), source.top[1]


def endless_index(source: MemorySource) -> None:
    for _ in range(10):
        assert source.top is not None
        data = encode_document(
            {"schemaVersion": 2, "mediaType": INDEX, "manifests": [source.top[0].document()]}
        )
        source.top = source.put(data, INDEX), data


def change_manifest(source: MemorySource, **changes: object) -> None:
    data = encode_document({**json.loads(source.root()[1]), **changes})
    source.top = source.put(data, MANIFEST), data


BROKEN = {
    "layer": spoil_layer,
    "configuration": spoil_config,
    "topmost document": spoil_root,
    "its digest": wrong_root_digest,
    "lost layer": lose_layer,
    "indexes in indexes": endless_index,
    "huge document": lambda source: change_manifest(
        source, config={"mediaType": CONFIG, "digest": digest(b""), "size": 1 << 40}
    ),
    "a chart": lambda source: change_manifest(
        source,
        config={"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest(b""), "size": 0},
    ),
    "an encrypted layer": lambda source: change_manifest(
        source, layers=[{"mediaType": LAYER + "+encrypted", "digest": digest(b""), "size": 0}] * 3
    ),
    "other diff ids": lambda source: source.put_image(ONE, diff_ids=["sha256:1"]),
    "fewer diff ids": lambda source: source.put_image(ONE, TWO, diff_ids=[digest(ONE)]),
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_has_no_name(store: Store, source: MemorySource, data: Path, spoil: object) -> None:
    spoil(source)  # type: ignore[operator]
    with pytest.raises((CorruptData, NotFound, Unsupported)) as caught:
        fetch(store, None, source)
    assert "sha256:" in caught.value.message
    assert store.list() == []
    gc(str(data), in_use=tuple, partial_grace_s=0)
    if data.exists():
        assert temporaries(store) == []
        assert os.listdir(data / "images" / "blobs" / "sha256") == []


def test_a_layer_with_two_sizes(store: Store, source: MemorySource) -> None:
    layers = json.loads(source.root()[1])["layers"]
    layers[2]["size"] += 1
    change_manifest(source, layers=layers)
    with pytest.raises(CorruptData, match="two sizes"):
        fetch(store, None, source)


def test_an_image_without_layers(store: Store, source: MemorySource) -> None:
    source.put_image()
    assert fetch(store, None, source).layers == ()


def test_a_manifest_of_docker_that_was_announced_as_another(store: Store, source: MemorySource) -> None:
    change_manifest(source, mediaType="application/vnd.docker.distribution.manifest.v2+json")
    original = source.root()[0]
    assert original.media_type == MANIFEST
    image = fetch(store, None, source)
    assert image.image_id != original.digest
    assert store.resolve(f"example.org/app@{original.digest}").image_id == image.image_id
    assert json.loads(store.cat_manifest(image.image_id))["mediaType"] == MANIFEST
    assert store.inspect("example.org/app:1")["digests"] == [image.image_id, original.digest]
    gc(str(Path(store.directory)), in_use=tuple)
    assert os.path.exists(store.layout.blob_path(original.digest))


# --- called off -----------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", range(0, 60, 4))
def test_called_off_at_any_time_it_goes_on_later(store: Store, source: MemorySource, moment: int) -> None:
    cancel = Cancellation()
    reads = 0

    def call_off(name: str, position: int) -> None:
        nonlocal reads
        reads += 1
        if reads == moment:
            cancel.cancel()

    source.before_read = call_off
    try:
        fetch(store, None, source, cancel=cancel, jobs=2)
    except Cancelled:
        assert store.list() == []
        assert source.is_closed
    else:
        assert reads < moment or moment == 0
        assert not source.is_closed
    source.before_read = lambda name, position: None
    fetch(store, None, source)
    assert temporaries(store) == []
    assert store.resolve("example.org/app:1")
    assert (
        source.sent_bytes <= len(ONE) + len(TWO) + 2 * 1000
    )  # the two pieces that came when it was called off


def test_called_off_before_it_began(store: Store, source: MemorySource) -> None:
    cancel = Cancellation()
    cancel.cancel()
    with pytest.raises(Cancelled):
        fetch(store, None, source, cancel=cancel)
    assert source.opened.total() == 0


def test_a_stalled_download_is_called_off(store: Store, source: MemorySource) -> None:
    cancel = Cancellation()
    stalled, released = threading.Event(), threading.Event()

    def stall(name: str, position: int) -> None:
        stalled.set()
        released.wait(20)

    source.before_read = stall
    errors: list[CarobError] = []

    def run() -> None:
        try:
            fetch(store, None, source, cancel=cancel)
        except CarobError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert stalled.wait(20)
    cancel.cancel()
    released.set()  # what closing a socket does
    thread.join(20)
    assert [type(error) for error in errors] == [Cancelled]


# --- beside others --------------------------------------------------------------------------------


def test_the_first_failure_does_not_wait_for_a_silent_source(store: Store, source: MemorySource) -> None:
    """Of two layers one is broken, and where the other is nothing answers until it is closed."""
    asked, closed = threading.Event(), threading.Event()

    class Silent(MemorySource):
        def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
            if descriptor.digest != digest(ONE):
                assert asked.wait(20)
                return super().open_blob(descriptor, offset)
            asked.set()
            assert closed.wait(20)
            raise Unavailable("closed")

        def close(self) -> None:
            closed.set()

    source = Silent(reference="example.org/app:1")
    source.put_image(ONE, TWO)
    source.blobs[digest(TWO)] = bytes(len(TWO))
    with pytest.raises(CorruptData, match=digest(TWO)):
        fetch(store, None, source)
    assert closed.is_set()


def test_collecting_all_the_time_harms_no_fetch(store: Store, source: MemorySource, data: Path) -> None:
    done = threading.Event()
    problems: list[object] = []

    def collect() -> None:
        while not done.is_set():
            problems.extend(gc(str(data), in_use=tuple, partial_grace_s=0).problems)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for number in range(15):
            fetch(store, None, source, name=f"n{number}")
            for layer in store.resolve(f"n{number}").layers:
                assert os.path.getsize(store.layout.blob_path(layer.digest)) == layer.size_bytes
            store.remove(f"n{number}")
    finally:
        done.set()
        thread.join(20)
    assert problems == []


def test_fetches_of_one_image_share_their_downloads(store: Store) -> None:
    class Slow(MemorySource):
        def document(self, descriptor: Descriptor) -> bytes:
            time.sleep(0.1)
            return super().document(descriptor)

    source = Slow(reference="example.org/app:1")
    source.put_image(ONE, TWO, ONE)
    source.before_read = lambda name, position: time.sleep(0.001)
    images: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: images.append(fetch(store, None, source, name=f"n{n}").image_id))  # type: ignore[misc]
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(images) == 6
    assert len(set(images)) == 1
    assert source.opened == {digest(ONE): 1, digest(TWO): 1}
    assert list(source.asked.values()) == [1]  # the configuration
    assert len(store.list()[0].names) == 6


def test_modes_of_the_store(store: Store, source: MemorySource) -> None:
    """What is in layers is nobody else's affair: the top keeps all others out."""
    fetch(store, None, source)
    top = Path(store.layout.path)
    modes = {str(path.relative_to(top)): stat.S_IMODE(path.stat().st_mode) for path in (top, *top.rglob("*"))}
    blobs = {name: modes.pop(name) for name in list(modes) if len(Path(name).name) == 64}
    assert set(blobs.values()) == {0o644}
    assert len(blobs) == 4
    assert modes == {
        ".": 0o700,
        ".tmp": 0o700,
        "blobs": 0o755,
        "blobs/sha256": 0o755,
        "index.json": 0o644,
        "oci-layout": 0o644,
    }


# --- trouble of this machine's --------------------------------------------------------------------


@pytest.mark.parametrize("unpacks", [False, True], ids=["stored", "unpacked"])
def test_an_interrupted_caller_ends_all_its_threads(
    store: Store, source: MemorySource, unpacks: bool
) -> None:
    trees = None
    if unpacks:
        require_root()
        trees = Trees(store.directory)
    main, begun = threading.main_thread(), threading.Event()
    reading: set[str] = set()

    def interrupt(name: str, position: int) -> None:
        reading.add(name)
        if len(reading) == 2 and not begun.is_set():
            begun.set()
            time.sleep(0.05)  # the caller waits by then: it has begun both downloads
            assert main.ident is not None
            signal.pthread_kill(main.ident, signal.SIGINT)
        time.sleep(0.002)

    source.before_read = interrupt
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fetch(store, trees, source)
    finally:
        signal.signal(signal.SIGINT, before)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("carob-")] == []
    assert store.list() == []
    source.before_read = lambda name, position: None
    fetch(store, trees, source)
    assert store.verify().broken == ()


@pytest.mark.parametrize("place", ["index.json", "blobs/sha256", ".tmp"])
def test_a_store_that_cannot_be_written_is_said_and_gone_on_with(
    store: Store, source: MemorySource, place: str
) -> None:
    """Something is in the way; once it is away, what was downloaded is not downloaded again."""
    fetch(store, None, source, name="first")
    source.put_image(ONE, THREE)
    path = Path(store.layout.path, place)
    aside = path.with_name(path.name + ".aside")
    path.rename(aside)
    if path.suffix == ".json":
        (path / "x").mkdir(parents=True)
    else:
        path.write_bytes(b"")
    with pytest.raises(CarobError) as caught:
        fetch(store, None, source)
    assert caught.value.message
    if path.suffix == ".json":
        shutil.rmtree(path)
    else:
        path.unlink()
    aside.rename(path)
    assert [summary.names for summary in store.list()] == [("first:latest",)]
    fetch(store, None, source)
    assert source.opened[digest(ONE)] == 1
    assert source.opened[digest(THREE)] <= 2
    assert temporaries(store) == []


def test_a_source_that_begins_too_late_is_refused(store: Store, source: MemorySource) -> None:
    begin = source.open_blob

    def late(descriptor: Descriptor, offset: int = 0) -> BlobReader:
        return begin(descriptor, offset + 1)

    source.open_blob = late  # type: ignore[method-assign]
    with pytest.raises(CorruptData, match="left out 1 bytes"):
        fetch(store, None, source)
    assert store.list() == []


def test_no_downloads_at_once(store: Store, source: MemorySource) -> None:
    with pytest.raises(InvalidInput, match="0 downloads"):
        fetch(store, None, source, jobs=0)
