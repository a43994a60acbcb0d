"""The quick way through many pods tells the same as the thorough one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from carob import AppStatus, Engine
from carob.engine.observe.pods import AppSummary, BrokenPod
from carob.engine.observe.views import summary_document, summary_json
from carob.linux.flock import EXCLUSIVE, FileLock

UUIDS = [f"6f2d7f3e-6f0e-4d1e-9d55-6b8a4c6f0a1{digit}" for digit in range(7)]


def make(data_dir: Path, directory: str, uuid: str, *, manifest: object = None, files: str = "") -> Path:
    path = data_dir / "pods" / directory / uuid
    path.mkdir(parents=True)
    if manifest is not None:
        (path / "pod").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    for name in files.split():
        (path / name).touch()
    return path


def manifest(name: str, *apps: str, big: int = 0) -> dict[str, object]:
    image = {"name": "example.org/rkt", "id": "sha512-" + "a" * 64}
    noted = [
        {"name": "carob/image-reference", "value": "x:1"},
        {"name": "carob/image-digest", "value": "sha256:b"},
    ]
    return {
        "apps": [
            {"name": app, "image": image, "annotations": noted if app != "rkt" else None, "pad": "p" * big}
            for app in apps
        ],
        "annotations": [{"name": "carob/name", "value": name}],
    }


def shown(apps: Sequence[AppSummary | AppStatus]) -> tuple[tuple[str, str, str], ...]:
    return tuple((app.name, app.image, app.image_id) for app in apps)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    make(tmp_path, "run", UUIDS[3], manifest=manifest('a "name"\n', "one", "rkt"), files="pod-created pid")
    make(tmp_path, "run", UUIDS[0], manifest=manifest("", "big", big=40_000), files="ppid")
    make(tmp_path, "prepared", UUIDS[1], manifest=manifest("later", "one"), files="pod-created")
    make(tmp_path, "prepare", UUIDS[2])
    make(tmp_path, "exited-garbage", UUIDS[4], manifest="not json", files="pod-created pid")
    make(tmp_path, "embryo", UUIDS[5])
    make(tmp_path, "garbage", UUIDS[6], manifest=manifest("never run"))
    return tmp_path


def test_it_tells_the_same_as_the_thorough_way(data_dir: Path) -> None:
    engine = Engine(data_dir)
    lock = FileLock(str(data_dir / "pods/run" / UUIDS[3]))
    try:
        lock.try_exclusive_lock()
        assert lock.held == EXCLUSIVE
        thorough = [
            (pod.uuid, pod.name, pod.state, pod.created_ns, pod.started_ns, shown(pod.apps))
            for pod in engine.list()
        ]
        quick = [
            (pod.uuid, pod.name, pod.state, pod.created_ns, pod.started_ns, shown(pod.apps))
            for pod in engine.summaries(times=True)
        ]
    finally:
        lock.close()
    assert [one[0] for one in quick] == UUIDS[:5]
    assert [str(one[2]) for one in quick][3] == "running"
    assert quick[3][5] == (("one", "x:1", "sha256:b"), ("rkt", "example.org/rkt", "sha512-" + "a" * 64))
    assert quick == thorough


def test_times_are_left_out_unless_asked_for(data_dir: Path) -> None:
    assert {pod.created_ns for pod in Engine(data_dir).summaries()} == {None}


def test_its_json_is_the_document(data_dir: Path) -> None:
    for pod in Engine(data_dir).summaries():
        assert json.loads(summary_json(pod)) == summary_document(pod)


def test_what_is_no_pod_is_handed_over(data_dir: Path) -> None:
    make(data_dir, "run", "junk")
    broken: list[BrokenPod] = []
    assert len(list(Engine(data_dir).summaries(broken.append))) == 5
    assert [one.name for one in broken] == ["junk"]


def test_a_pod_that_moves_or_goes_meanwhile(data_dir: Path) -> None:
    pods = Engine(data_dir).summaries()
    first = next(pods)
    (data_dir / "pods/run" / UUIDS[3]).rename(data_dir / "pods/exited-garbage" / UUIDS[3])
    (data_dir / "pods/prepare" / UUIDS[2]).rmdir()
    rest = {pod.uuid: pod.name for pod in pods}
    assert first.uuid == UUIDS[0]
    assert rest == {UUIDS[1]: "later", UUIDS[3]: 'a "name"\n', UUIDS[4]: ""}
