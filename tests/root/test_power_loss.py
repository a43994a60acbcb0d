"""What a power loss may leave of pods that were run at once: names, and files without their content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carob import App, Engine
from carob.errors import Conflict, CorruptData
from tests.root import host_view

SOON_S = 60
BRIEF = App("busybox", ["true"])


def empty_files(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.write_bytes(b"")


def test_a_pod_that_ran_and_lost_its_files_has_ended_and_is_collected(engine: Engine) -> None:
    pod = engine.run(BRIEF)
    pod.wait(timeout_s=SOON_S)
    empty_files(host_view.pod_directory(engine.data_dir, pod.uuid))
    beside = engine.run(BRIEF)
    beside.wait(timeout_s=SOON_S)
    listed = {status.uuid: str(status.state) for status in engine.list()}
    assert listed == {pod.uuid: "exited", beside.uuid: "exited"}
    assert engine.get(pod.uuid).status().apps == ()  # the manifest named them
    collected = engine.gc(grace_s=0)
    assert set(collected.deleted) == {pod.uuid, beside.uuid}
    assert collected.problems == []
    host_view.nothing_left(engine.data_dir, pod.uuid)


def prepared_at_once(engine: Engine) -> Path:
    """What a caller leaves that dies between the last step of preparing and the monitor's first."""
    pod = engine.prepare(BRIEF)
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    plan = directory / "carob/plan.json"
    document = json.loads(plan.read_text())
    assert document["at_once"] is False
    plan.write_text(json.dumps(document | {"at_once": True}))
    return directory


def test_a_pod_that_was_to_be_run_at_once_is_run_by_nobody_else(engine: Engine) -> None:
    directory = prepared_at_once(engine)
    with pytest.raises(Conflict, match="at once"):
        engine.get(directory.name).run()
    assert str(engine.get(directory.name).status().state) == "prepared"
    empty_files(directory)
    with pytest.raises(CorruptData):
        engine.get(directory.name).run()
    engine.get(directory.name).remove()
    host_view.nothing_left(engine.data_dir, directory.name)


def test_what_is_run_is_never_synced_with_the_rest_of_its_file_system(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int) -> None:
        raise AssertionError("it would wait for what everybody else has written")

    monkeypatch.setattr("carob.linux.syscall.syncfs", refuse)
    pod = engine.run(BRIEF)
    pod.wait(timeout_s=SOON_S)
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    assert json.loads((directory / "carob/plan.json").read_text())["at_once"] is True
    with pytest.raises(AssertionError, match="everybody else"):
        engine.prepare(BRIEF)
