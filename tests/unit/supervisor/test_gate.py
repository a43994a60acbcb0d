"""The gate at which apps wait for their pod's networks, with the very hook that the runtime is given."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.protocol import pod_network
from carob.supervisor import gate

STATE = b'{"ociVersion": "1.0", "pid": 1}' * 10_000  # more than a pipe holds, and no newline at its end


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gate, "GATE", str(tmp_path / "gate"))
    return tmp_path / "gate"


@pytest.fixture
def made(path: Path) -> Iterator[gate.Gate]:
    """A gate that is shut. Init's own stays open for as long as init lives."""
    found = gate.Gate()
    found.shut()
    yield found
    os.close(found._fifo)


def hook(path: Path) -> subprocess.Popen[bytes]:
    (made,) = pod_network.hooks()["createRuntime"]
    script = made["args"][2].replace(pod_network.GATE, str(path))
    return subprocess.Popen([made["path"], "-c", script], stdin=subprocess.PIPE)


def test_all_who_wait_pass_when_it_opens_and_so_does_who_comes_later(made: gate.Gate, path: Path) -> None:
    waiting = [hook(path) for _ in range(20)]
    for one in waiting:
        assert one.stdin is not None
        one.stdin.write(STATE[:1000])
        one.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        waiting[0].wait(0.2)
    assert [one.poll() for one in waiting] == [None] * 20
    made.open()
    assert [one.wait(10) for one in waiting] == [0] * 20
    for _ in range(3):
        later = hook(path)
        later.communicate(STATE, timeout=10)
        assert later.returncode == 0


def test_who_has_found_the_fifo_passes_however_late_it_reads(made: gate.Gate, path: Path) -> None:
    with open(path, "rb", buffering=0) as found:
        made.open()
        assert found.read(1) == b"\n"


def test_a_hook_reads_all_that_the_runtime_tells_it(made: gate.Gate, path: Path) -> None:
    """A runtime that finds nobody reading takes that for the hook's failure."""
    made.open()
    assert made.is_shut is False
    one = hook(path)
    assert one.stdin is not None
    one.stdin.write(STATE)
    one.stdin.close()
    assert one.wait(10) == 0
