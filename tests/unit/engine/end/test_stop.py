"""Removing a pod while others look at it or are at it too."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carob import Engine
from carob.engine.end import stop
from carob.errors import Conflict, LostRace
from carob.pod.state import Directory
from tests.unit.pod.made import locked, make, uuid_of

_LOCK_ON_AND_OFF = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDONLY)
print("begun", flush=True)
while True:
    fcntl.flock(lock, int(sys.argv[2]))
    sum(range(300))  # some microseconds
    fcntl.flock(lock, fcntl.LOCK_UN)
    sum(range(300))
"""


@contextmanager
def locked_on_and_off(path: str, operation: int) -> Iterator[None]:
    """The pod's lock is taken and let go of, over and over, by another process, until the pod is gone."""
    command = [sys.executable, "-c", _LOCK_ON_AND_OFF, path, str(operation)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("operation", [fcntl.LOCK_EX, fcntl.LOCK_SH])
@pytest.mark.parametrize("directory", [Directory.EXITED_GARBAGE, Directory.GARBAGE])
def test_a_pod_that_others_seem_to_delete_is_waited_for(
    tmp_path: Path, directory: Directory, operation: int
) -> None:
    for number in range(8):
        path = make(str(tmp_path), directory, uuid_of(number))
        with locked_on_and_off(path, operation):
            Engine(tmp_path).handle(uuid_of(number)).remove()
        assert not os.path.exists(path)


def test_a_pod_that_another_deletes_for_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "_AFTER_KILL_S", 0.01)
    path = make(str(tmp_path), Directory.EXITED_GARBAGE, uuid_of(1))
    with locked(path), pytest.raises(LostRace, match="is being deleted by another process") as caught:
        Engine(tmp_path).handle(uuid_of(1)).remove()
    assert caught.value.uuid == uuid_of(1)


def test_what_hinders_the_removal_itself_is_raised(tmp_path: Path) -> None:
    path = make(str(tmp_path), Directory.PREPARE, uuid_of(1))
    with locked(path), pytest.raises(Conflict, match="preparing"):
        Engine(tmp_path).handle(uuid_of(1)).remove(force=True)
    assert os.path.exists(path)
