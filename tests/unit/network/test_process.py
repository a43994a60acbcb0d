from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

import pytest

from carob.network.process import (
    LOST,
    STDERR_BYTES,
    STDOUT_BYTES,
    TIMED_OUT,
    TOO_MUCH,
    Command,
    Finished,
    Process,
)
from carob.network.tasks import Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.network.tasks import Steps

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def shell(script: str, *, limit_s: float = 10.0, **more: Any) -> Command:
    return Command(("/bin/sh", "-c", script), environment=ENVIRONMENT, limit_s=limit_s, **more)


def one(command: Command) -> Steps:
    return (yield command)


def run(command: Command) -> Finished:
    runner = Runner()
    task = runner.start(one(command))
    runner.run(task)
    finished: Finished = task.outcome()
    return finished


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.005)
    return False


def test_streams_status_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    finished = run(shell("cat; env; echo no >&2; exit 7", stdin=b"read this\n"))
    lines = finished.stdout.decode().splitlines()
    assert lines[0] == "read this"
    assert {line.split("=")[0] for line in lines[1:]} <= {"PATH", "PWD", "SHLVL", "_", "OLDPWD"}
    assert (finished.status, finished.stderr, finished.cut_off) == (7, b"no\n", "")
    assert not finished.succeeded


def test_the_end_by_a_signal() -> None:
    assert run(shell("kill -SEGV $$")).status == -signal.SIGSEGV


def test_a_program_that_is_not_there_is_an_error_and_leaves_nothing() -> None:
    with pytest.raises(FileNotFoundError):
        run(Command(("/no/such/program",), environment={}, limit_s=1))


def test_a_program_that_hangs_is_killed_with_its_children() -> None:
    began = time.monotonic()
    finished = run(shell("sleep 1000 & echo $!; wait", limit_s=0.3))
    assert finished.cut_off == TIMED_OUT
    assert 0.3 <= time.monotonic() - began < 5
    assert is_gone(int(finished.stdout))


def test_a_program_that_closed_its_streams_and_hangs_is_killed_as_well() -> None:
    assert run(shell("exec >&- 2>&- <&-; sleep 1000", limit_s=0.3)).cut_off == TIMED_OUT


def test_a_program_that_never_stops_talking_is_killed_and_its_words_are_bounded() -> None:
    finished = run(shell("exec cat /dev/zero"))
    assert finished.cut_off == TOO_MUCH
    assert len(finished.stdout) == STDOUT_BYTES


def test_of_a_flood_of_complaints_the_end_is_kept() -> None:
    finished = run(shell("head -c 5000000 /dev/zero >&2; echo last >&2"))
    assert finished.succeeded
    assert len(finished.stderr) <= STDERR_BYTES
    assert finished.stderr.endswith(b"last\n")


def test_a_program_that_reads_nothing_of_much_is_fine() -> None:
    assert run(shell("exit 0", stdin=b"x" * 5_000_000)).succeeded
    assert run(shell("exec <&-; sleep 0.1; echo done", stdin=b"x" * 5_000_000)).stdout == b"done\n"


def test_a_grandchild_that_keeps_the_pipes_open_is_not_waited_for() -> None:
    began = time.monotonic()
    finished = run(shell("setsid sleep 30 & echo $!"))
    try:
        assert finished.succeeded
        assert time.monotonic() - began < 10
    finally:
        os.kill(int(finished.stdout), signal.SIGKILL)


def test_nothing_but_what_is_named_is_open_in_the_program() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    try:
        finished = run(shell("ls -l /proc/self/fd; cat <&5", descriptors=((reading, 5),), limit_s=0.5))
        plain = run(shell("ls /proc/self/fd"))
    finally:
        os.close(reading)
        os.close(writing)
    assert "5 -> pipe:" in finished.stdout.decode()
    assert finished.cut_off == TIMED_OUT
    assert plain.stdout.split() == [b"0", b"1", b"2", b"3"]  # 3 is the listing's own


def test_the_standard_streams_may_be_closed_in_the_caller() -> None:
    script = (
        "import os; os.close(0); os.close(1)\n"
        "from tests.unit.network.test_process import run, shell\n"
        "finished = run(shell('cat; echo out; echo err >&2', stdin=b'in\\n'))\n"
        "assert (finished.stdout, finished.stderr) == (b'in\\nout\\n', b'err\\n'), finished.stdout\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root}/src"}
    result = subprocess.run(
        [os.sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_signals_ignored_by_the_caller_are_not_ignored_by_the_program() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert run(shell("kill -TERM $$; echo alive")).status == -signal.SIGTERM
        assert run(shell("kill -PIPE $$; echo alive")).status == -signal.SIGPIPE
    finally:
        signal.signal(signal.SIGTERM, before)


def test_programs_of_several_tasks_run_side_by_side() -> None:
    runner = Runner()
    began = time.monotonic()
    tasks = [runner.start(one(shell(f"sleep 0.4; echo {number}"))) for number in range(5)]
    runner.run(*tasks)
    assert time.monotonic() - began < 1.6
    assert [task.outcome().stdout for task in tasks] == [f"{number}\n".encode() for number in range(5)]


def test_a_task_waits_for_another_and_errors_stay_where_they_belong() -> None:
    runner = Runner()

    def failing() -> Steps:
        yield shell("sleep 0.1")
        raise ValueError("mine")

    first = runner.start(failing())

    def second() -> Steps:
        yield first
        finished = yield shell("echo after")
        return finished.stdout, str(first.error)

    waiting = runner.start(second())
    runner.run(waiting)
    assert waiting.outcome() == (b"after\n", "mine")
    with pytest.raises(ValueError, match="mine"):
        first.outcome()


def test_after_one_failure_the_others_get_little_time() -> None:
    runner = Runner()

    def failing() -> Steps:
        yield shell("exit 0")
        raise ValueError

    slow = runner.start(one(shell("sleep 1000", limit_s=1000)))
    began = time.monotonic()
    runner.run(slow, runner.start(failing()), after_failure_s=0.2)
    assert time.monotonic() - began < 5
    assert slow.outcome().cut_off == TIMED_OUT


def test_an_interrupt_kills_what_runs() -> None:
    runner = Runner()
    pids = []

    def interrupted() -> Steps:
        finished = yield shell("echo $$; sleep 0.1")
        pids.append(int(finished.stdout))
        raise KeyboardInterrupt

    runner.start(one(shell("sleep 1000", limit_s=1000)))
    process = next(iter(runner._programs))
    with pytest.raises(KeyboardInterrupt):
        runner.run(runner.start(interrupted()))
    assert is_gone(process.pid)
    assert not runner._programs


def test_a_child_reaped_by_somebody_else_is_no_success() -> None:
    process = Process(shell("exit 0"))
    os.waitpid(process.pid, 0)
    assert process.finish().cut_off == LOST


def test_more_output_is_taken_where_it_is_expected() -> None:
    finished = run(shell("head -c 3000000 /dev/zero", stdout_bytes=4_000_000))
    assert finished.succeeded
    assert len(finished.stdout) == 3_000_000
