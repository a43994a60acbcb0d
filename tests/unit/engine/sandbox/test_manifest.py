from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carob.engine.sandbox.manifest import Manifest
from carob.errors import Conflict, CorruptData, NotFound, Unavailable
from carob.linux.flock import FileLock
from carob.pod import ImmutablePod, Pod, new_pod

MUTABLE = [{"name": "coreos.com/rkt/stage1/mutable", "value": "true"}]


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """A pod that counts as running: its lock is held, by its creator."""
    with new_pod(str(tmp_path)) as made:
        write(made, {"apps": [], "volumes": [], "annotations": MUTABLE, "extra": {"kept": 1}})
        Path(made.path(), "pod.lck").touch()
        made.to_run()
        yield made


def write(pod: Pod, document: dict[str, Any]) -> None:
    Path(f"/proc/self/fd/{pod.fd()}/pod").write_text(json.dumps(document))


def read(pod: Pod) -> Any:
    return json.loads(Path(f"/proc/self/fd/{pod.fd()}/pod").read_text())


def entry(name: str, *volumes: str) -> dict[str, Any]:
    return {"name": name, "mounts": [{"volume": one, "path": f"/{one}"} for one in volumes]}


def other(pod: Pod) -> Pod:
    from carob.pod import open_pod

    return open_pod(pod.path().rsplit("/", 3)[0], str(pod.uuid))


def test_apps_come_and_go_with_the_volumes_that_nobody_else_mounts(pod: Pod) -> None:
    with other(pod) as opened, Manifest(opened) as manifest:
        assert (manifest.names, manifest.running) == ([], True)
        manifest.add(entry("a", "shared", "own"), [{"name": "shared"}, {"name": "own"}])
        manifest.add(entry("b", "shared"), [{"name": "shared"}])
        assert manifest.names == ["a", "b"]
        assert manifest.entry("b")["name"] == "b"
    assert [one["name"] for one in read(pod)["volumes"]] == ["shared", "own"]
    with other(pod) as opened, Manifest(opened) as manifest:
        manifest.remove("a")
        with pytest.raises(NotFound) as caught:
            manifest.entry("a")
        assert caught.value.hint == "its apps: b"
    assert read(pod)["volumes"] == [{"name": "shared"}]
    assert read(pod)["extra"] == {"kept": 1}
    assert not [name for name in os.listdir(pod.path()) if name.startswith(".")]


def test_somebody_elses_lock_is_waited_for_and_not_for_ever(pod: Pod) -> None:
    held = FileLock("pod.lck", dir_fd=pod.fd(), file=True)
    held.exclusive_lock()
    with other(pod) as opened:
        with pytest.raises(Unavailable, match="somebody else is changing"), Manifest(opened, patience_s=0.02):
            pass
        held.close()
        with Manifest(opened, patience_s=0.0) as manifest:
            assert manifest.names == []


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"apps": [], "volumes": []}, ImmutablePod),
        ({"apps": [], "volumes": [], "annotations": [{**MUTABLE[0], "value": "false"}]}, ImmutablePod),
        ({"apps": None, "volumes": [], "annotations": MUTABLE}, CorruptData),
        ({"apps": [{"name": 1}], "volumes": [], "annotations": MUTABLE}, CorruptData),
        ({"apps": [], "annotations": MUTABLE}, CorruptData),
    ],
)
def test_what_may_not_or_cannot_be_changed(
    pod: Pod, document: dict[str, Any], error: type[Exception]
) -> None:
    write(pod, document)
    with other(pod) as opened, pytest.raises(error), Manifest(opened):
        pass


def test_a_pod_that_has_ended_can_be_changed_and_one_that_is_marked_by_nobody_else(pod: Pod) -> None:
    pod.unlock()
    with other(pod) as opened:
        with Manifest(opened) as manifest:
            assert not manifest.running
            with pytest.raises(Conflict, match="nothing of it runs"):
                manifest.require_running()
            manifest.add(entry("a"), [])
        assert opened.held() == "unlocked"
    assert read(pod)["apps"] == [entry("a")]
