"""Exit records: durable, in steps that wait for the disk once at most; a full disk is tried again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.protocol import life
from carob.protocol import plan as plans
from carob.supervisor.apps import App
from carob.supervisor.recording import Recorder

STATUS = "stage1/rootfs/rkt/status"


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[int]:
    (tmp_path / STATUS).mkdir(parents=True)
    (tmp_path / plans.LOG_DIRECTORY).mkdir(parents=True)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def apps(pod: int, tmp_path: Path) -> Iterator[list[App]]:
    made = []
    for name in ("one", "two"):
        (tmp_path / plans.bundle_directory(name)).mkdir(parents=True)
        app = App({"name": name, "stop_signal": 15}, "/carob/x", pod)
        app.started_ns, app.finished_ns = 1, 2
        app.end = {"end": "exited", "code": 3}
        app.state = life.ENDED
        made.append(app)
    yield made
    for app in made:
        os.close(app.log.fd)


def record(tmp_path: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((tmp_path / plans.exit_record(name)).read_text())
    return found


class Disk:
    """Counts the waits for the disk, and can be full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits = 0
        self.full = False
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, descriptor: int) -> None:
        self.waits += 1
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._fsync(descriptor)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_an_end_takes_two_waits_for_the_disk_and_a_step_one_at_most(
    pod: int, apps: list[App], tmp_path: Path, disk: Disk
) -> None:
    recorder = Recorder(pod, STATUS)
    for app in apps:
        recorder.add(app)
        recorder.add(app)  # once is enough
    while recorder.busy:
        before = disk.waits
        recorder.step()
        assert disk.waits - before <= 1
    assert disk.waits == 4
    for name in ("one", "two"):
        assert record(tmp_path, name) == {
            "version": 1,
            "app": name,
            "end": "exited",
            "code": 3,
            "started_ns": 1,
            "finished_ns": 2,
            "restarts": 0,
        }
        assert (tmp_path / STATUS / name).read_text() == "3"
        assert os.listdir(tmp_path / plans.bundle_directory(name)) == ["exit.json"]


def test_nothing_is_seen_of_an_end_that_is_not_on_the_disk(
    pod: int, apps: list[App], tmp_path: Path, disk: Disk
) -> None:
    recorder = Recorder(pod, STATUS)
    recorder.add(apps[0])
    recorder.step()
    assert disk.waits == 0
    assert not (tmp_path / plans.exit_record("one")).exists()
    assert not (tmp_path / STATUS / "one").exists()
    recorder.step()
    assert record(tmp_path, "one")["code"] == 3
    assert not recorder.is_written(apps[0])  # its name is not on the disk yet
    while recorder.busy:
        recorder.step()
    assert recorder.is_written(apps[0])


def test_what_is_left_is_written_at_the_end(pod: int, apps: list[App], tmp_path: Path) -> None:
    apps[1].end, apps[1].failure = None, (127, "there is no such program")
    recorder = Recorder(pod, STATUS)
    recorder.add(apps[0])
    recorder.step()
    recorder.finish(apps)
    assert record(tmp_path, "one")["code"] == 3
    assert record(tmp_path, "two")["reason"] == "it was never started: there is no such program"
    assert os.listdir(tmp_path / STATUS) == ["one"]


def test_a_full_disk_costs_one_end_nothing_but_time_and_the_others_nothing(
    pod: int, apps: list[App], tmp_path: Path, disk: Disk
) -> None:
    recorder = Recorder(pod, STATUS)
    disk.full = True
    recorder.add(apps[0])
    while recorder.busy:
        recorder.step()
    assert os.listdir(tmp_path / plans.bundle_directory("one")) == []
    disk.full = False
    recorder.add(apps[1])
    while recorder.busy:
        recorder.step()
    assert record(tmp_path, "two")["code"] == 3
    recorder.finish(apps)
    assert record(tmp_path, "one")["code"] == 3


def test_a_disk_that_stays_full_is_tried_twice_and_then_given_up(
    pod: int, apps: list[App], tmp_path: Path, disk: Disk
) -> None:
    recorder = Recorder(pod, STATUS)
    disk.full = True
    recorder.finish(apps)
    assert disk.waits == 4
    assert not recorder.busy
    assert os.listdir(tmp_path / STATUS) == []
