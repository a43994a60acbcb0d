"""Word to the manager that started a service, against real sockets."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from carob.linux import notify


def test_a_manager_that_listens_gets_the_word_and_a_full_queue_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(notify.VARIABLE, str(tmp_path / "s"))
    monkeypatch.setattr(notify, "_PATIENCE_S", 0.05)
    assert not notify.notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "s"))
        assert notify.notify("READY=1")
        assert manager.recv(100) == b"READY=1"
        while notify.notify("STOPPING=1"):
            pass
        manager.recv(100)
        assert notify.notify("STOPPING=1")
