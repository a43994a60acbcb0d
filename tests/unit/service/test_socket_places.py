from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carob.errors import Conflict
from carob.service.socket_places import SocketPlace


@pytest.fixture
def bind() -> Iterator[Callable[[str], None]]:
    bound: list[socket.socket] = []

    def listen(path: str) -> None:
        made = socket.socket(socket.AF_UNIX)
        bound.append(made)
        made.bind(path)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0, "somebody could connect already"
        made.listen()

    yield listen
    for one in bound:
        one.close()


def test_a_socket_is_there_with_its_mode_and_goes_with_its_service(
    tmp_path: Path, bind: Callable[[str], None]
) -> None:
    place = SocketPlace(str(tmp_path / "below/s"))
    place.bind(bind, mode=0o640)
    assert stat.S_IMODE(os.stat(tmp_path / "below/s").st_mode) == 0o640
    with pytest.raises(Conflict):
        SocketPlace(str(tmp_path / "below/s"))
    place.leave()
    assert os.listdir(tmp_path / "below") == ["s.lock"]
    place.leave()
    SocketPlace(str(tmp_path / "below/s")).leave()


def test_what_a_killed_service_left_is_taken_over(tmp_path: Path, bind: Callable[[str], None]) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    place = SocketPlace(str(tmp_path / "s"))
    place.bind(bind, mode=0o600)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(tmp_path / "s"))
    place.leave()


def test_a_socket_that_systemd_listens_on_is_left_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        with pytest.raises(Conflict):
            SocketPlace(str(tmp_path / "s"))
        assert (tmp_path / "s").exists()
