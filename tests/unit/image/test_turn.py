"""One downloader at a time: among threads, processes, forked children, and when one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.errors import Cancelled, CorruptData
from carob.image.cancel import Cancellation
from carob.image.fetch.turn import try_turn, wait_for_turn

HOLD = """
import sys, time
from carob.image.fetch.turn import try_turn
turn = try_turn(sys.argv[1])
print("mine" if turn else "busy", flush=True)
sys.stdin.read()
if turn:
    turn.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "blob.turn")


@pytest.fixture
def holder(path: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the turn, until its input ends or it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.communicate()


def waiting(path: str, cancel: Cancellation, results: list[BaseException | None]) -> threading.Thread:
    def run() -> None:
        try:
            wait_for_turn(path, cancel)
            results.append(None)
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_one_has_it_and_leaves_nothing(path: str) -> None:
    turn = try_turn(path)
    assert turn is not None
    with turn:
        assert try_turn(path) is None
        assert os.listdir(os.path.dirname(path)) == ["blob.turn"]
    turn.close()
    assert os.listdir(os.path.dirname(path)) == []
    again = try_turn(path)
    assert again is not None
    again.close()


def test_another_process_has_it(path: str, holder: subprocess.Popen[str]) -> None:
    assert try_turn(path) is None
    holder.communicate("")
    assert not os.path.exists(path)


@pytest.mark.parametrize("how", [signal.SIGKILL, None], ids=["killed", "done"])
def test_who_waits_is_told(path: str, holder: subprocess.Popen[str], how: signal.Signals | None) -> None:
    results: list[BaseException | None] = []
    thread = waiting(path, Cancellation(), results)
    time.sleep(0.05)
    assert thread.is_alive()
    if how is None:
        holder.communicate("")
    else:
        holder.send_signal(how)
    thread.join(10)
    assert results == [None]
    turn = try_turn(path)
    assert turn is not None
    turn.close()


def test_a_wait_for_a_stopped_process_can_be_called_off(path: str, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGSTOP)
    cancel = Cancellation()
    results: list[BaseException | None] = []
    thread = waiting(path, cancel, results)
    time.sleep(0.05)
    cancel.cancel()
    thread.join(10)
    assert [type(result) for result in results] == [Cancelled]
    holder.send_signal(signal.SIGCONT)
    assert try_turn(path) is None


def test_called_off_before_it_began(path: str, holder: subprocess.Popen[str]) -> None:
    cancel = Cancellation()
    cancel.cancel()
    with pytest.raises(Cancelled):
        wait_for_turn(path, cancel)


def test_nobody_is_waited_for(path: str) -> None:
    wait_for_turn(path, Cancellation())
    turn = try_turn(path)
    assert turn is not None
    os.rename(path, path + "-kept")  # as a crash would leave it: the fifo is there, its holder is not
    turn.close()
    os.rename(path + "-kept", path)
    wait_for_turn(path, Cancellation())


def test_a_forked_child_does_not_keep_it(path: str) -> None:
    turn = try_turn(path)
    assert turn is not None
    end, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(end, 1)
        os._exit(0)
    try:
        results: list[BaseException | None] = []
        thread = waiting(path, Cancellation(), results)
        time.sleep(0.05)
        turn.close()
        thread.join(10)
        assert results == [None]
    finally:
        os.write(out, b"x")
        os.waitpid(pid, 0)
        os.close(end)
        os.close(out)


def test_threads_take_turns(path: str) -> None:
    """Each finds nobody else inside; all get their turn."""
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            while (turn := try_turn(path)) is None:
                wait_for_turn(path, Cancellation())
            with turn:
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 160
    assert set(most) == {1}
    assert not os.path.exists(path)


def test_something_else_in_its_place(path: str) -> None:
    Path(path).write_text("a file")
    with pytest.raises(CorruptData, match="in the way"):
        try_turn(path)
