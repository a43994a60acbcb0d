"""Whether processes have executed programs, as this kernel tells it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from carob.runtime import command
from carob.supervisor import beginnings

REAP = """
import os, sys
from carob.supervisor import beginnings
made = {}
for what in ("exits", "succeeds", "killed", "executes"):
    pid = os.fork()
    if pid == 0:
        if what == "killed":
            os.kill(os.getpid(), 9)
        if what == "executes":
            os.execv("/bin/sh", ["sh", "-c", "exit 3"])
        os._exit(3 * (what == "exits"))
    made[pid] = what
while made:
    found = beginnings.reap()
    if found is not None:
        print(made.pop(found[0]), hex(found[1]))
try:
    beginnings.reap()
except ChildProcessError:
    print("none 0")
"""


def test_a_status_tells_of_who_exited_badly_and_never_executed_anything() -> None:
    done = subprocess.run([sys.executable, "-c", REAP], capture_output=True, text=True, check=True)
    found = dict(line.split() for line in done.stdout.splitlines())
    assert found == {
        "exits": hex(beginnings.NEVER_EXECUTED | 3 << 8),
        "succeeds": "0x0",
        "killed": "0x9",
        "executes": hex(3 << 8),
        "none": "0",
    }


def test_who_is_awaited_is_told_of_once_and_who_ends_never() -> None:
    go, going = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(go, 1)
        os.execv("/bin/sleep", ["sleep", "1000"])
    told: list[str] = []
    waiting = beginnings.Beginnings()
    try:
        assert not beginnings.has_executed(pid)
        waiting.add(pid, lambda: told.append("executes"))
        assert waiting.look_at is not None
        waiting.look_when_due(time.monotonic() + 1)
        assert told == []
        os.write(going, b"x")
        until = time.monotonic() + 30
        while told == [] and time.monotonic() < until:
            waiting.look_when_due(time.monotonic())
        assert told == ["executes"]
        waiting.add(pid, lambda: told.append("again"))
        waiting.ended(pid)
        waiting.look_when_due(time.monotonic() + 1)
        waiting.look_when_due(time.monotonic() + 2)
        assert told == ["executes"]
        assert not waiting.look_at, "there is nothing to look for"
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(go)
        os.close(going)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (b'{"msg":"exec container process `/x`: Exec format error","level":"error"}\r\n', 126, "format"),
        (b'{"msg":"exec container process (\xff?) `/x`: No such file or directory"}', 127, "No such"),
        (b"exec /x: no such file or directory\n", 127, "no such"),
        (b"exec /x: argument list too long\n", 126, "too long"),
        (b"", 126, "cannot be executed"),
    ],
)
def test_what_a_runtime_says_of_it(words: bytes, code: int, message: str) -> None:
    found = beginnings.failure(words)
    assert found[0] == code
    assert message in found[1]
    assert command.NOT_EXECUTABLE == 126
