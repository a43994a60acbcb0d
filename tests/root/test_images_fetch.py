"""A real image from a real registry: fetched whole, by several at once, killed, cut off, called off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from carob.errors import Cancelled, CorruptData, NotFound, PermissionDenied
from carob.image import Store, Trees, gc
from carob.image.cancel import Cancellation
from carob.image.fetch.progress import LayerProgress, Phase
from tests.needs import ROOT, require_root
from tests.parts.big_image import BigImages
from tests.parts.faults import Drop, Flip, Stall
from tests.parts.faulty_proxy import FaultyProxy
from tests.parts.registry import Registry
from tests.root.image_fetcher import fetch

MEMORY_MIB = 100


@pytest.fixture
def data(tmp_path: Path) -> Path:
    require_root()
    return tmp_path / "data"


@pytest.fixture(scope="module")
def big(registry: Registry, big_images: BigImages) -> str:
    """The large image in the registry."""
    registry.push(big_images.gzip.oci, "fetch/big", "1")
    return registry.reference("fetch/big", "1")


def start(data: Path, address: str, *elsewhere: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.root.image_fetcher", str(data), address, *elsewhere],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def assert_whole(data: Path, image_id: str) -> None:
    """All of it is there and right, and nothing else is."""
    image = Store(str(data)).resolve(image_id)
    found = Store(str(data)).verify(quarantine=False)
    assert found.broken == ()
    assert found.unrecorded == ()
    assert found.layers == len(set(image.chain_ids))
    assert [os.listdir(data / part / ".tmp") for part in ("images", "layers")] == [[], []]
    assert sorted(os.listdir(data / "images")) == [".tmp", "blobs", "index.json", "oci-layout"]
    stray = gc(str(data), in_use=tuple)
    assert (stray.blobs, stray.layers, stray.problems) == (0, 0, ())


def test_by_tag_and_by_digest_with_a_password(
    basic_registry: Registry, big_images: BigImages, data: Path
) -> None:
    digest = basic_registry.push(big_images.family[0].oci, "team/app", "1")
    assert basic_registry.credentials is not None
    assert basic_registry.ca_file is not None
    way = (basic_registry.host, str(basic_registry.ca_file))
    for reference in ("1", digest):
        address = basic_registry.reference("team/app", reference)
        with pytest.raises(PermissionDenied):
            fetch(str(data), address, *way)
        image = fetch(str(data), address, *way, *basic_registry.credentials)
        assert image.image_id == digest
    assert_whole(data, digest)
    assert [summary.names for summary in Store(str(data)).list()] == [
        (f"{basic_registry.host}/team/app:1", f"{basic_registry.host}/team/app@{digest}")
    ]


def test_memory_stays_small(registry: Registry, big: str, data: Path) -> None:
    output, error = start(data, big, registry.host).communicate()
    assert error == ""
    image_id, memory_mib = output.split()
    assert int(memory_mib) < MEMORY_MIB
    assert_whole(data, image_id)


def test_what_an_image_shares_is_not_downloaded_again(
    registry: Registry, big: str, big_images: BigImages, data: Path
) -> None:
    fetch(str(data), big, registry.host)
    registry.push(big_images.family[0].oci, "fetch/one", "1")
    since = registry.mark()
    events: list[LayerProgress] = []
    image = fetch(str(data), registry.reference("fetch/one", "1"), registry.host, progress=events.append)
    assert registry.blob_downloads(since) == {image.layers[-1].digest: 1, image.config_digest: 1}
    last = {event.position: event.phase for event in events}
    assert list(last.values()) == [Phase.SHARED] * 3 + [Phase.DONE]


def test_two_processes_download_each_blob_once(registry: Registry, big: str, data: Path) -> None:
    since = registry.mark()
    processes = [start(data, big, registry.host) for _ in range(2)]
    ends = [process.communicate() for process in processes]
    assert [error for _, error in ends] == ["", ""]
    image_id = ends[0][0].split()[0]
    image = Store(str(data)).resolve(image_id)
    downloads = registry.blob_downloads(since)
    assert {layer.digest: downloads[layer.digest] for layer in image.layers} == {
        layer.digest: 1 for layer in image.layers
    }
    assert_whole(data, image_id)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_ten_points_it_gets_there(registry: Registry, big: str, data: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    start(tmp_path / "first", big, registry.host).communicate()
    whole_s = time.monotonic() - began
    since = registry.mark()
    for number in range(10):
        process = start(data, big, registry.host)
        time.sleep(whole_s * (0.1 + 0.08 * number))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for summary in Store(str(data)).list():
            assert summary.problem == ""
        if number == 5:
            gc(str(data), in_use=tuple)
    output, error = start(data, big, registry.host).communicate()
    assert error == ""
    image_id = output.split()[0]
    assert_whole(data, image_id)
    size_bytes = sum(layer.size_bytes for layer in Store(str(data)).resolve(image_id).layers)
    # What a killed one had in flight is lost, and no more.
    assert registry.bytes_sent(since) < 4 * size_bytes


@pytest.mark.slow
def test_beside_a_collection_that_never_ends(registry: Registry, big: str, data: Path) -> None:
    done = threading.Event()
    problems: list[str] = []

    def collect() -> None:
        while not done.is_set():
            problems.extend(gc(str(data), in_use=tuple, partial_grace_s=0).problems)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        output, error = start(data, big, registry.host).communicate()
    finally:
        done.set()
        thread.join()
    assert (error, problems) == ("", [])
    assert_whole(data, output.split()[0])


# --- a registry in trouble ------------------------------------------------------------------------


def test_what_is_dropped_is_gone_on_with(
    registry: Registry, big: str, data: Path, faulty_proxy: Callable[..., FaultyProxy]
) -> None:
    proxy = faulty_proxy(registry)
    for after in (100_000, 1_000_000, 5_000_000):
        proxy.add(Drop(after=after), target="/blobs/", method="GET")
    image = fetch(str(data), big.replace(registry.host, proxy.host), proxy.host)
    assert_whole(data, image.image_id)
    assert sum(seen.body_sent for seen in proxy.seen) < 1.5 * sum(layer.size_bytes for layer in image.layers)


def test_one_wrong_byte_is_found_and_not_kept(
    registry: Registry, big: str, data: Path, faulty_proxy: Callable[..., FaultyProxy]
) -> None:
    proxy = faulty_proxy(registry)
    address = big.replace(registry.host, proxy.host)
    proxy.add(Flip(at=2_000_000), target="/blobs/", method="GET", times=None)
    with pytest.raises(CorruptData, match="sha256:"):
        fetch(str(data), address, proxy.host)
    assert Store(str(data)).list() == []
    assert Store(str(data)).verify(quarantine=False).broken == ()
    proxy.clear()
    assert_whole(data, fetch(str(data), address, proxy.host).image_id)


def test_a_registry_that_stalls_is_left_when_called_off(
    registry: Registry, big: str, data: Path, faulty_proxy: Callable[..., FaultyProxy]
) -> None:
    proxy = faulty_proxy(registry)
    address = big.replace(registry.host, proxy.host)
    proxy.add(Stall(after=300_000), target="/blobs/", method="GET", times=None)
    cancel = Cancellation()
    stalled = threading.Event()

    def watch(event: LayerProgress) -> None:
        if event.phase is Phase.DOWNLOADING:
            stalled.set()

    def call_off() -> None:
        stalled.wait(30)
        cancel.cancel()

    caller = threading.Thread(target=call_off)
    caller.start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        fetch(str(data), address, proxy.host, progress=watch, cancel=cancel)
    caller.join()
    assert time.monotonic() - began < 20  # a registry that stalls is given up after 30 s
    assert Store(str(data)).list() == []
    proxy.clear()
    assert_whole(data, fetch(str(data), address, proxy.host).image_id)


# --- other images ---------------------------------------------------------------------------------


def test_the_image_of_this_platform(registry: Registry, big_images: BigImages, data: Path) -> None:
    digest = registry.push(big_images.index.oci, "fetch/index", "1", all_platforms=True)
    image = fetch(str(data), registry.reference("fetch/index", "1"), registry.host)
    assert image.image_id != digest
    assert Store(str(data)).resolve(f"{registry.host}/fetch/index@{digest}").image_id == image.image_id
    assert image.architecture == {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    pinned = fetch(str(data), registry.reference("fetch/index", digest), registry.host)
    assert pinned.image_id == image.image_id
    assert_whole(data, image.image_id)


@pytest.mark.slow
def test_as_many_layers_as_there_can_be(registry: Registry, big_images: BigImages, data: Path) -> None:
    digest = registry.push(big_images.many.oci, "fetch/many", "1")
    image = fetch(str(data), registry.reference("fetch/many", "1"), registry.host)
    assert (image.image_id, len(image.layers)) == (digest, 127)
    assert_whole(data, digest)


def test_nothing_there(registry: Registry, data: Path) -> None:
    with pytest.raises(NotFound, match="fetch/nothing"):
        fetch(str(data), registry.reference("fetch/nothing"), registry.host)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive", "oci", "zstd"])
def test_large_images_from_files(big_images: BigImages, data: Path, kind: str) -> None:
    address = {
        "oci-archive": f"oci-archive:{big_images.oci_archive}:big",
        "docker-archive": f"docker-archive:{big_images.docker_archive}:big:latest",
        "oci": big_images.gzip.oci,
        "zstd": big_images.zstd.oci,
    }[kind]
    output, error = start(data, address).communicate()
    assert error == ""
    image_id, memory_mib = output.split()
    assert int(memory_mib) < MEMORY_MIB
    assert_whole(data, image_id)
    diff_ids = big_images.gzip.configuration()["rootfs"]["diff_ids"]
    assert list(Store(str(data)).resolve(image_id).diff_ids) == diff_ids


def test_what_was_fetched_is_told(registry: Registry, big: str, data: Path) -> None:
    fetch(str(data), big, registry.host)
    shown = json.loads(json.dumps(Store(str(data)).inspect(big.removeprefix("docker://"))))
    assert shown["source"] == big
    assert all(layer["unpacked"] for layer in shown["layers"])
    usage = Store(str(data)).usage()
    du = subprocess.run(
        ["du", "-s", "-B1", str(data / "layers"), str(data / "images/blobs/sha256")],
        capture_output=True,
        text=True,
        check=True,
    )
    layers, blobs = (int(line.split()[0]) for line in du.stdout.splitlines())
    assert 0 <= blobs - usage.blob_bytes <= 8192  # the directory itself
    assert 0 <= layers - usage.layer_bytes <= 40960  # the directories themselves
    assert Trees(str(data)).ensure(Store(str(data)).resolve(shown["id"])).lower_dirs
