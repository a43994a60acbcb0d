from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from carob.errors import CorruptData, InvalidInput, NotFound
from carob.linux import files
from carob.pod import ImmutablePod, open_pod
from carob.pod.state import Directory
from carob.spec.appc.pod import PodManifest
from tests.unit.pod.made import MANIFEST, MUTABLE, UUID, make


def with_annotation(value: str) -> bytes:
    document = json.loads(MUTABLE)
    document["annotations"][0]["value"] = value
    return json.dumps(document).encode()


def changed(manifest: PodManifest, value: str = "changed") -> PodManifest:
    return manifest.replace(annotations=manifest.annotations.with_value("example.com/note", value))


def test_the_manifest_as_it_is_and_as_a_value(data_dir: str) -> None:
    make(data_dir, Directory.PREPARED, pod=MANIFEST + b"\n")
    with open_pod(data_dir, UUID) as pod:
        raw, manifest = pod.pod_manifest()
        assert raw == MANIFEST + b"\n"
        assert [app.name for app in manifest.apps] == ["web", "db"]


def test_manifests_that_cannot_be_read(data_dir: str) -> None:
    path = make(data_dir, Directory.PREPARED)
    with open_pod(data_dir, UUID) as pod:
        with pytest.raises(NotFound):
            pod.pod_manifest()
        for raw in (b"", b"{", b"{}", b'{"acKind":"ImageManifest"}'):
            Path(path, "pod").write_bytes(raw)
            with pytest.raises(CorruptData, match=UUID):
                pod.pod_manifest()


def test_image_manifests(data_dir: str) -> None:
    image = b'{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/web"}'
    make(data_dir, Directory.RUN, appsinfo__web__manifest=image, appsinfo__db__manifest=b"{}")
    with open_pod(data_dir, UUID) as pod:
        assert pod.app_image_manifest("web").name == "example.com/web"
        with pytest.raises(CorruptData):
            pod.app_image_manifest("db")
        with pytest.raises(NotFound):
            pod.app_image_manifest("other")
        for name in ("", "Web", "../web", "a_b"):
            with pytest.raises(InvalidInput):
                pod.app_image_manifest(name)


@pytest.mark.parametrize("value", ["1", "t", "T", "TRUE", "true", "True"])
def test_mutable_pods(data_dir: str, value: str) -> None:
    make(data_dir, Directory.RUN, pod=with_annotation(value))
    with open_pod(data_dir, UUID) as pod:
        assert not pod.is_mutable(), "nobody has looked yet"
        assert len(pod.sandbox_manifest().apps) == 2
        assert pod.is_mutable()


@pytest.mark.parametrize("value", [None, "0", "f", "F", "FALSE", "false", "False"])
def test_immutable_pods(data_dir: str, value: str | None) -> None:
    make(data_dir, Directory.RUN, pod=MANIFEST if value is None else with_annotation(value))
    with open_pod(data_dir, UUID) as pod:
        with pytest.raises(ImmutablePod):
            pod.sandbox_manifest()
        assert not pod.is_mutable()
        with pytest.raises(ImmutablePod):
            pod.update_manifest(pod.pod_manifest()[1])


@pytest.mark.parametrize("value", ["", "yes", "tRUE", " true"])
def test_neither(data_dir: str, value: str) -> None:
    make(data_dir, Directory.RUN, pod=with_annotation(value))
    with open_pod(data_dir, UUID) as pod, pytest.raises(CorruptData):
        pod.sandbox_manifest()


def test_a_pod_that_became_immutable_is_seen_so(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN, pod=MUTABLE)
    with open_pod(data_dir, UUID) as pod:
        manifest = pod.sandbox_manifest()
        Path(path, "pod").write_bytes(MANIFEST)
        with pytest.raises(ImmutablePod):
            pod.sandbox_manifest()
        with pytest.raises(ImmutablePod):
            pod.update_manifest(manifest)


@pytest.mark.parametrize("by_path", [False, True])
def test_update_keeps_the_mode_and_what_nobody_knows(data_dir: str, by_path: bool) -> None:
    raw = MUTABLE[:-1] + b',"example.com/unknown":[1,{"x":null}]}'
    path = make(data_dir, Directory.RUN, pod=raw, **{"pod.lck": b""})
    os.chmod(f"{path}/pod", 0o664)
    with open_pod(data_dir, UUID) as pod:
        pod.exclusive_lock_manifest()
        new = changed(pod.sandbox_manifest())
        pod.update_manifest(new, path) if by_path else pod.update_manifest(new)
        pod.unlock_manifest()
        raw, manifest = pod.pod_manifest()
    assert raw.endswith(b"\n")
    assert manifest.annotations.get("example.com/note") == "changed"
    assert json.loads(raw)["example.com/unknown"] == [1, {"x": None}]
    assert os.stat(f"{path}/pod").st_mode & 0o7777 == 0o664
    assert sorted(os.listdir(path)) == ["pod", "pod.lck"]


def test_update_is_durable_and_all_or_nothing(data_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(data_dir, Directory.RUN, pod=MUTABLE)
    written: list[str] = []
    write = files.write_file_durably
    from carob.pod import manifest as module

    def watched(name: str, data: bytes, **arguments: int) -> None:
        written.append(name)
        write(name, data, **arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_file_durably", watched)
    with open_pod(data_dir, UUID) as pod:
        pod.update_manifest(changed(pod.sandbox_manifest()))
        assert written == ["pod"]
        good = Path(path, "pod").read_bytes()
        with pytest.raises(InvalidInput):  # no acVersion: it may be read and not written
            pod.update_manifest(pod.sandbox_manifest().replace(ac_version=""))
    assert Path(path, "pod").read_bytes() == good


def test_update_needs_a_manifest_to_replace(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN, pod=MUTABLE)
    with open_pod(data_dir, UUID) as pod:
        manifest = pod.sandbox_manifest()
        os.unlink(f"{path}/pod")
        with pytest.raises(NotFound):
            pod.update_manifest(manifest)


def test_the_lock_of_the_manifest_is_its_own(data_dir: str) -> None:
    make(data_dir, Directory.RUN, pod=MUTABLE, **{"pod.lck": b""})
    with (
        open_pod(data_dir, UUID) as runner,
        open_pod(data_dir, UUID) as one,
        open_pod(data_dir, UUID) as other,
    ):
        runner.exclusive_lock()
        one.exclusive_lock_manifest()
        one.exclusive_lock_manifest()
        waiting = threading.Thread(target=other.exclusive_lock_manifest)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        one.unlock_manifest()
        one.unlock_manifest()
        waiting.join(10)
        assert not waiting.is_alive()


def test_without_its_lock_file_a_manifest_cannot_be_locked(data_dir: str) -> None:
    make(data_dir, Directory.RUN, pod=MANIFEST)
    with open_pod(data_dir, UUID) as pod, pytest.raises(NotFound):
        pod.exclusive_lock_manifest()


def test_changes_under_the_lock_are_not_lost(data_dir: str) -> None:
    make(data_dir, Directory.RUN, pod=MUTABLE, **{"pod.lck": b""})

    def add(name: str) -> None:
        for number in range(5):
            with open_pod(data_dir, UUID) as pod:
                pod.exclusive_lock_manifest()
                manifest = pod.sandbox_manifest()
                annotations = manifest.annotations.with_value(f"example.com/{name}{number}", "x")
                pod.update_manifest(manifest.replace(annotations=annotations))

    threads = [threading.Thread(target=add, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_pod(data_dir, UUID) as pod:
        assert len(pod.sandbox_manifest().annotations) == 1 + 15
