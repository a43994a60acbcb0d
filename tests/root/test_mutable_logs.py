"""Logs of added apps at paths where something else is than a file: nobody waits for it, least of all init."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from carob import Engine
from carob.errors import Conflict, InvalidInput
from carob.pod import open_pod
from carob.supervisor import client
from tests.root.mutable_pods import app, is_settled, known

NOTHING = lambda *_: None  # noqa: E731 - in the place of a check


def put(path: Path, kind: str) -> None:
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(os.path.relpath(path))
        case "link":
            path.symlink_to("elsewhere")
        case _:
            path.mkdir()


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "link", "directory"])
def test_only_a_file_can_be_a_log(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    log = tmp_path / "0.log"
    put(log, kind)
    with engine.sandbox() as pod:
        with pytest.raises(InvalidInput, match=str(log)):
            pod.add(app("web"), log_path=str(log))
        monkeypatch.setattr("carob.engine.sandbox.add._check_log", NOTHING)  # it may come right after that
        with pytest.raises(Conflict, match=r"its log, 0\.log"):
            pod.add(app("web"), log_path=str(log))
        assert known(engine, pod) == {}
        is_settled(engine, pod)


def test_a_log_that_was_replaced_by_a_pipe_is_not_gone_on_with(engine: Engine, tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    with engine.sandbox() as pod:
        pod.add(app("web", "while :; do echo on; sleep 0.1; done"), log_path=str(log))
        pod.start_app("web")
        log.rename(tmp_path / "old")
        put(log, "pipe")
        with pytest.raises(Conflict, match=r"its log, 0\.log"):
            pod.reopen_log("web")
        log.unlink()
        pod.reopen_log("web")
        assert log.is_file()
        with open_pod(engine.data_dir, pod.uuid) as opened:
            assert client.ask(opened.fd(), pod.uuid, {"op": "status"})["apps"]["web"]["running"]
