from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from carob.errors import Cancelled, CarobError, CorruptData, NotFound, Unavailable
from carob.image import Store, gc
from carob.image.cancel import Cancellation
from carob.image.fetch.download import StalePartial, receive
from carob.image.store.blobs import HeldBlobs, partial_path, turn_path
from carob.image.store.layout import Layout
from carob.spec.oci.descriptor import Descriptor
from tests.unit.image.memory_source import MemorySource, described

DATA = bytes(range(256)) * 40  # eleven reads


def bring(
    store: Store,
    source: MemorySource,
    descriptor: Descriptor,
    *,
    cancel: Cancellation | None = None,
    replace: bool = False,
) -> bool:
    with HeldBlobs(store.layout) as blobs:
        return receive(
            blobs,
            descriptor,
            lambda offset: source.open_blob(descriptor, offset),
            cancel=cancel or Cancellation(),
            replace=replace,
        )


def temporaries(layout: Layout) -> list[str]:
    return sorted(os.listdir(f"{layout.path}/.tmp"))


def left_partial(store: Store, descriptor: Descriptor, data: bytes) -> Path:
    path = Path(partial_path(store.layout, descriptor.digest))
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def test_a_blob_comes_in_whole(store: Store) -> None:
    source = MemorySource()
    descriptor = source.put(DATA)
    assert bring(store, source, descriptor)
    blob = Path(store.layout.blob_path(descriptor.digest))
    assert blob.read_bytes() == DATA
    assert stat.S_IMODE(blob.stat().st_mode) == 0o644
    assert temporaries(store.layout) == []
    assert not bring(store, source, descriptor)
    assert source.opened[descriptor.digest] == 1


def test_an_empty_blob(store: Store) -> None:
    source = MemorySource()
    assert bring(store, source, source.put(b""))


@pytest.mark.parametrize("resumes", [True, False], ids=["range", "from the beginning"])
@pytest.mark.parametrize("length", [1, 1000, 5555, len(DATA) - 1])
def test_it_goes_on_where_it_was(store: Store, resumes: bool, length: int) -> None:
    source = MemorySource(resumes=resumes)
    descriptor = source.put(DATA)
    left_partial(store, descriptor, DATA[:length])
    assert bring(store, source, descriptor)
    assert source.offsets == [length]
    assert Path(store.layout.blob_path(descriptor.digest)).read_bytes() == DATA


def test_what_was_left_may_be_all(store: Store) -> None:
    source = MemorySource()
    descriptor = source.put(DATA)
    left_partial(store, descriptor, DATA)
    assert bring(store, source, descriptor)
    assert source.offsets == []


def test_rubbish_that_was_left_goes(store: Store) -> None:
    source = MemorySource()
    descriptor = source.put(DATA)
    path = left_partial(store, descriptor, bytes(5000))
    with pytest.raises(StalePartial, match=descriptor.digest):
        bring(store, source, descriptor)
    assert not path.exists()
    assert bring(store, source, descriptor)


def test_more_than_there_can_be_was_left(store: Store) -> None:
    source = MemorySource()
    descriptor = source.put(DATA)
    left_partial(store, descriptor, DATA + b"more")
    assert bring(store, source, descriptor)
    assert source.offsets == [0]


@pytest.mark.parametrize(
    "sent", [DATA[:-1] + b"x", DATA + b"x", bytes(len(DATA))], ids=["other", "longer", "zeros"]
)
def test_wrong_bytes_leave_nothing(store: Store, sent: bytes) -> None:
    source = MemorySource()
    descriptor = described(DATA)
    source.blobs[descriptor.digest] = sent
    with pytest.raises(CorruptData, match=descriptor.digest):
        bring(store, source, descriptor)
    assert temporaries(store.layout) == []
    assert not os.path.exists(store.layout.blob_path(descriptor.digest))


def test_too_few_bytes_are_kept_for_the_next_time(store: Store) -> None:
    source = MemorySource()
    descriptor = described(DATA)
    source.blobs[descriptor.digest] = DATA[:4000]
    with pytest.raises(Unavailable, match="4000 of"):
        bring(store, source, descriptor)
    assert Path(partial_path(store.layout, descriptor.digest)).read_bytes() == DATA[:4000]
    source.blobs[descriptor.digest] = DATA
    assert bring(store, source, descriptor)
    assert source.offsets == [0, 4000]


def test_what_the_source_says_is_passed_on(store: Store) -> None:
    with pytest.raises(NotFound):
        bring(store, MemorySource(), described(DATA))
    assert temporaries(store.layout) == []


def test_a_blob_of_another_length_is_brought_again(store: Store) -> None:
    source = MemorySource()
    descriptor = source.put(DATA)
    assert bring(store, source, descriptor)
    blob = Path(store.layout.blob_path(descriptor.digest))
    blob.write_bytes(DATA[:10])
    assert bring(store, source, descriptor)
    assert blob.read_bytes() == DATA
    blob.unlink()
    blob.symlink_to("/etc/passwd")
    assert bring(store, source, descriptor)
    assert not blob.is_symlink()


def test_a_broken_blob_is_replaced_when_asked(store: Store) -> None:
    source = MemorySource()
    descriptor = source.put(DATA)
    assert bring(store, source, descriptor)
    blob = Path(store.layout.blob_path(descriptor.digest))
    blob.write_bytes(bytes(len(DATA)))
    assert not bring(store, source, descriptor)
    assert bring(store, source, descriptor, replace=True)
    assert blob.read_bytes() == DATA


def test_many_threads_bring_it_once(store: Store) -> None:
    source = MemorySource()
    descriptor = source.put(DATA)
    source.before_read = lambda digest, position: time.sleep(0.002)
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(bring(store, source, descriptor))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [False] * 15 + [True]
    assert source.opened[descriptor.digest] == 1
    assert temporaries(store.layout) == []


def test_one_that_fails_leaves_it_to_the_next(store: Store) -> None:
    source = MemorySource()
    descriptor = source.put(DATA)
    failures = [Unavailable("dropped")]

    def fail_once(digest: str, position: int) -> None:
        time.sleep(0.002)
        if position >= 5000 and failures:
            raise failures.pop()

    source.before_read = fail_once
    results: list[object] = []

    def run() -> None:
        try:
            results.append(bring(store, source, descriptor))
        except CarobError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(str(result) for result in results) == ["False", "False", "True", "dropped"]
    assert source.offsets == [0, 5000]


def test_called_off_in_the_middle_the_part_stays(store: Store) -> None:
    source = MemorySource()
    descriptor = source.put(DATA)
    cancel = Cancellation()

    def call_off(digest: str, position: int) -> None:
        if position >= 3000:
            cancel.cancel()

    source.before_read = call_off
    with pytest.raises(Cancelled):
        bring(store, source, descriptor, cancel=cancel)
    assert Path(partial_path(store.layout, descriptor.digest)).read_bytes() == DATA[:3000]
    assert not os.path.exists(turn_path(store.layout, descriptor.digest))


def test_a_download_under_way_is_not_collected(store: Store, data: Path) -> None:
    source = MemorySource()
    descriptor = source.put(DATA)

    def collect(digest: str, position: int) -> None:
        gc(str(data), in_use=tuple, partial_grace_s=0)

    source.before_read = collect
    with HeldBlobs(store.layout) as blobs:
        receive(blobs, descriptor, lambda offset: source.open_blob(descriptor, offset), cancel=Cancellation())
        gc(str(data), in_use=tuple)
        assert os.path.exists(store.layout.blob_path(descriptor.digest))
    assert gc(str(data), in_use=tuple).blobs == 1


def test_parts_wait_for_a_while(store: Store, data: Path) -> None:
    descriptor = described(DATA)
    path = left_partial(store, descriptor, DATA[:10])
    os.mkfifo(turn_path(store.layout, descriptor.digest))
    gc(str(data), in_use=tuple)
    assert temporaries(store.layout) == [path.name]
    os.utime(path, (time.time() - 90000, time.time() - 90000))
    gc(str(data), in_use=tuple)
    assert temporaries(store.layout) == []


BRING = """
import sys, time
from carob.image import Store
from carob.image.store.blobs import HeldBlobs
from carob.image.cancel import Cancellation
from carob.image.fetch.download import receive
from tests.unit.image.memory_source import MemorySource

store, source = Store(sys.argv[1]), MemorySource()
descriptor = source.put(bytes(range(256)) * 4000)
source.before_read = lambda digest, position: time.sleep(0.0001)
with HeldBlobs(store.layout) as blobs:
    receive(blobs, descriptor, lambda offset: source.open_blob(descriptor, offset), cancel=Cancellation())
print(sum(source.opened.values()), *source.offsets)
"""


def start(data: Path) -> subprocess.Popen[str]:
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", BRING, str(data)], stdout=subprocess.PIPE, text=True, cwd=root
    )


def test_processes_bring_it_once(store: Store, data: Path) -> None:
    processes = [start(data) for _ in range(3)]
    counts = [process.communicate()[0].split()[0] for process in processes]
    assert sorted(counts) == ["0", "0", "1"]
    assert temporaries(store.layout) == []


def test_killed_again_and_again_it_gets_on(store: Store, data: Path) -> None:
    descriptor = described(bytes(range(256)) * 4000)
    partial = Path(partial_path(store.layout, descriptor.digest))
    reached = 0
    for _ in range(4):
        process = start(data)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            if partial.exists() and partial.stat().st_size > reached:
                break
            time.sleep(0.001)
        process.kill()
        process.communicate()
        if not partial.exists():
            break
        assert partial.stat().st_size > reached
        reached = partial.stat().st_size
    assert reached
    output = start(data).communicate()[0].split()
    assert output in (["1", str(reached)], ["0"])
    assert Path(store.layout.blob_path(descriptor.digest)).read_bytes() == bytes(range(256)) * 4000
    assert temporaries(store.layout) == []


def test_what_could_not_be_written_back_is_not_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says it once; read again, the part would look right, and not be on the disk."""
    source = MemorySource()
    descriptor = source.put(DATA)

    def fail(fd: int) -> None:
        monkeypatch.undo()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with HeldBlobs(store.layout):
        pass  # its directories are made, durably
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        bring(store, source, descriptor)
    assert temporaries(store.layout) == []
    assert bring(store, source, descriptor)
    assert source.offsets == [0, 0]
