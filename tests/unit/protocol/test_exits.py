"""Exit records say what waitpid(2) said, and nothing that nobody saw."""

from __future__ import annotations

import os

import pytest

from carob.protocol import exits


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_an_exit_code_is_kept(code: int) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(code)
    end = exits.of_wait_status(os.waitpid(pid, 0)[1], out_of_memory=False)
    assert end == {"end": "exited", "code": code}
    assert exits.rkt_code(end) == code


@pytest.mark.parametrize("signal", [9, 15, 10])
def test_a_signal_is_kept(signal: int) -> None:
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal)
        os._exit(1)
    end = exits.of_wait_status(os.waitpid(pid, 0)[1], out_of_memory=False)
    assert end == {"end": "signaled", "signal": signal}
    assert exits.rkt_code(end) == 128 + signal


def test_only_a_kill_can_be_for_want_of_memory() -> None:
    assert exits.of_wait_status(9, out_of_memory=True) == {"end": "out-of-memory", "signal": 9}
    assert exits.of_wait_status(15, out_of_memory=True) == {"end": "signaled", "signal": 15}
    assert exits.of_wait_status(0, out_of_memory=True) == {"end": "exited", "code": 0}


def test_an_unknown_end_has_no_code() -> None:
    assert exits.rkt_code(exits.unknown("init was killed")) is None


def test_a_record_is_versioned() -> None:
    record = exits.record("web", {"end": "exited", "code": 0}, started_ns=1, finished_ns=2, restarts=3)
    assert record == {
        "version": 1, "app": "web", "end": "exited", "code": 0, "started_ns": 1, "finished_ns": 2,
        "restarts": 3,
    }  # fmt: skip
