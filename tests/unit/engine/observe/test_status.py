"""What a status makes of the files of a pod, whole, missing, broken or out of reach."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from carob import Engine, Exited, State, Unknown
from carob.errors import CorruptData, NotFound, OutOfResources
from carob.pod.state import Directory
from tests.unit.engine.shortage import few_descriptors
from tests.unit.pod.made import UUID, locked, make

APPS = [{"name": name, "image": {"name": "x", "id": "sha512-ab"}} for name in ("one", "two")]
MANIFEST = json.dumps({"acKind": "PodManifest", "apps": APPS}).encode()
RECORD = json.dumps({"version": 1, "end": "exited", "code": 3, "started_ns": 5, "finished_ns": 9}).encode()


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    return str(tmp_path)


def ended(data_dir: str) -> str:
    """Makes a pod that has ended and returns its path."""
    path = make(data_dir, Directory.RUN, pod=MANIFEST)
    os.makedirs(f"{path}/carob/apps/one")
    Path(path, "carob/apps/one/exit.json").write_bytes(RECORD)
    return path


def apps(engine: Engine) -> list[tuple[Any, ...]]:
    return [(app.name, app.state, app.end, app.started_ns) for app in engine.handle(UUID).status().apps]


def test_when_an_app_was_started_is_told_while_it_runs(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN, pod=MANIFEST, carob__apps__two__config=b"")
    engine = Engine(data_dir)
    with locked(path):
        assert apps(engine) == [("one", "created", None, None), ("two", "created", None, None)]
        os.symlink("1700000000000000001", f"{path}/carob/apps/two/started")
        assert apps(engine) == [("one", "created", None, None), ("two", "running", None, 1700000000000000001)]
        os.makedirs(f"{path}/stage1/rootfs/rkt")
        os.symlink("ready", f"{path}/stage1/rootfs/rkt/supervisor-status")
        assert apps(engine)[0] == ("one", "running", None, None), "a pod of an init that marks nothing"
    end = Unknown("the pod's init was gone before it could see the app end")
    assert apps(engine)[1] == ("two", "ended", end, 1700000000000000001)


@pytest.mark.parametrize("target", ["nonsense", "-1", "٣", "1 2"])
def test_a_mark_that_makes_no_sense_is_passed_over(data_dir: str, target: str) -> None:
    path = make(data_dir, Directory.RUN, pod=MANIFEST, carob__apps__one__config=b"")
    os.symlink(target, f"{path}/carob/apps/one/started")
    with locked(path):
        assert apps(Engine(data_dir))[0] == ("one", "created", None, None)


def test_the_record_of_an_end_tells_both_times(data_dir: str) -> None:
    path = ended(data_dir)
    os.symlink("7", f"{path}/carob/apps/one/started")
    (app, _) = Engine(data_dir).handle(UUID).status().apps
    assert (app.end, app.started_ns, app.finished_ns) == (Exited(3), 5, 9)


def test_one_broken_file_hides_nothing_else(data_dir: str) -> None:
    path = ended(data_dir)
    Path(path, "carob/end.json").write_text("not json")
    Path(path, "carob/apps/one/exit.json").write_text("[]")
    assert Engine(data_dir).handle(UUID).status().outcome == ""
    Path(path, "carob/end.json").write_text('{"outcome": "killed", "ended_ns": 1e400, "reason": ["x"]}')
    assert Engine(data_dir).handle(UUID).status().ended_ns is None
    Path(path, "carob/end.json").write_text(f'{{"ended_ns": {10**30}}}')
    status = Engine(data_dir).handle(UUID).status()
    assert (status.state, status.outcome, status.ended_ns) == (State.EXITED, "", None)
    assert [app.name for app in status.apps] == ["one", "two"]


@pytest.mark.parametrize("name", ["", ".", "..", "../one", "a\0b", 5, None, ["one"]])
def test_what_can_be_no_part_of_a_path_is_no_app(data_dir: str, name: object) -> None:
    manifest = json.dumps({"apps": [{"name": name}, {"name": "one"}]}).encode()
    make(data_dir, Directory.RUN, pod=manifest)
    assert [app.name for app in Engine(data_dir).handle(UUID).status().apps] == ["one"]


def test_a_shortage_of_descriptors_is_told_and_never_taken_for_missing_files(data_dir: str) -> None:
    ended(data_dir)
    handle = Engine(data_dir).handle(UUID)
    expected = repr(handle.status())
    answers = []
    for count in range(24):
        try:
            with few_descriptors(count // 2):
                answers.append(repr(handle.status() if count % 2 else Engine(data_dir).list()[0]))
        except OutOfResources:
            answers.append("told")
    assert set(answers) == {expected, "told"}


def test_a_pod_of_unknown_apps_cannot_be_asked_for_one(data_dir: str) -> None:
    make(data_dir, Directory.RUN)
    handle = Engine(data_dir).handle(UUID)
    with pytest.raises(NotFound, match="cannot read the manifest"):
        handle.logs()
    Path(data_dir, "pods/run", UUID, "pod").write_text("not json")
    with pytest.raises(CorruptData, match="is not JSON") as caught:
        handle.signal(15, app="x")
    assert caught.value.uuid == UUID
    Path(data_dir, "pods/run", UUID, "pod").write_text("[]")
    with pytest.raises(NotFound, match="has no apps"):
        handle.exec(["true"])
