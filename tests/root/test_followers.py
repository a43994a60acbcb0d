"""Who follows logs is woken by init, through a pipe, and does init no harm."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob import App, Engine, PodHandle
from carob.errors import Unavailable
from carob.pod import open_pod
from carob.supervisor import client, followers
from tests.root import host_view
from tests.root.test_exec import Raw, open_of, settled

SOON_S = 60


@pytest.fixture
def pod(engine: Engine) -> Iterator[PodHandle]:
    script = "mkfifo /tmp/p; while read word </tmp/p; do echo $word; done"
    with engine.run(App("busybox", ["sh", "-c", script])) as running:
        host_view.eventually(
            "the fifo is there", lambda: not running.exec(["test", "-p", "/tmp/p"]).returncode
        )
        yield running


def say(pod: PodHandle, word: str) -> None:
    pod.exec(["sh", "-c", f"echo {word} >/tmp/p"], check=True)


def directory(engine: Engine, pod: PodHandle) -> Path:
    return host_view.pod_directory(engine.data_dir, pod.uuid)


def init_of(engine: Engine, pod: PodHandle) -> int:
    return host_view.keeper(directory(engine, pod), "init")


@contextlib.contextmanager
def followed(engine: Engine, pod: PodHandle) -> Iterator[int]:
    with open_pod(engine.data_dir, pod.uuid) as opened:
        pipe = client.follow(opened.fd(), pod.uuid)
    try:
        yield pipe
    finally:
        os.close(pipe)


def heard(pipe: int) -> bytes:
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    assert waiting.poll(SOON_S * 1000), "nothing was heard"
    return os.read(pipe, 100)


def quiet(pipe: int) -> bool:
    return not select.select([pipe], [], [], 0.05)[0]


def test_a_follower_is_woken_at_first_after_each_write_and_at_the_end(engine: Engine, pod: PodHandle) -> None:
    with followed(engine, pod) as pipe:
        assert heard(pipe)
        assert quiet(pipe)
        for number in range(3):
            say(pod, f"word-{number}")
            assert heard(pipe)
            host_view.eventually("all is read", lambda: quiet(pipe) or not heard(pipe))
            assert f"word-{number}\n" in pod.logs().text()
        pod.stop(grace_s=0)
        while heard(pipe):
            continue


def test_nobody_follows_a_pod_that_has_ended(engine: Engine, pod: PodHandle) -> None:
    pod.stop(grace_s=0)
    with pytest.raises(Unavailable), followed(engine, pod):
        pass


def test_a_follower_that_goes_leaves_nothing_in_init(engine: Engine, pod: PodHandle) -> None:
    before = settled(init_of(engine, pod))
    with followed(engine, pod) as pipe, followed(engine, pod) as other:
        assert heard(pipe)
        assert heard(other)
        host_view.eventually(
            "init holds their pipes", lambda: len(open_of(init_of(engine, pod))) == len(before) + 2
        )
    host_view.eventually("init has closed them", lambda: open_of(init_of(engine, pod)) == before)


def test_a_follower_that_never_reads_holds_nobody_up(engine: Engine) -> None:
    lines = "i=0; while [ $i -lt 70000 ]; do echo; i=$((i+1)); done"
    script = f"mkfifo /p; read go </p; {lines}; echo over; read go </p"
    with engine.run(App("busybox", ["sh", "-c", script])) as pod, followed(engine, pod) as pipe:
        pod.exec(["sh", "-c", "until [ -p /p ]; do :; done; echo >/p"], check=True)
        host_view.eventually("all is written", lambda: "over" in pod.logs(tail=1).text())
        with open_pod(engine.data_dir, pod.uuid) as opened:
            assert client.ask(opened.fd(), pod.uuid, {"op": "status"})["event"] == "status"
        assert heard(pipe)


def test_more_followers_than_are_served_end_at_once(engine: Engine, pod: PodHandle) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(followers.MOST):
            assert heard(stack.enter_context(followed(engine, pod)))
        assert heard(stack.enter_context(followed(engine, pod))) == b""
        assert str(pod.status().state) == "running"
        pod.stop(grace_s=0)
        assert pod.status().outcome == "stopped"


def test_only_the_writing_end_of_a_pipe_is_taken(engine: Engine, pod: PodHandle, tmp_path: Path) -> None:
    init = init_of(engine, pod)
    reading, writing = os.pipe()
    file = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    try:
        with Raw(directory(engine, pod)) as raw:
            raw.ask({"op": "status"})
            before = settled(init)
            for wrong in ([reading], [file], [], [writing, writing]):
                assert raw.ask({"op": "follow"}, wrong)["event"] == "refused"
            host_view.eventually("init has closed all", lambda: open_of(init) == before)
    finally:
        for descriptor in (reading, writing, file):
            os.close(descriptor)
