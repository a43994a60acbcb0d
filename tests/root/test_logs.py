"""Logs of real pods: bounded, chosen by time, followed across rotations, by a thousand at once."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import pytest

from carob import App, Engine
from carob.engine.request.log_limits import LogLimits
from carob.errors import InvalidInput
from carob.pod import open_pod
from carob.supervisor import client
from tests.root import host_view

SEQUENCE = "i=0; while [ $i -lt 3000 ]; do echo $((i=i+1)); done"


def logs_of(engine: Engine, uuid: str) -> list[str]:
    return sorted(os.listdir(Path(host_view.pod_directory(engine.data_dir, uuid)) / "carob/logs"))


def test_a_log_is_followed_through_all_its_files(engine: Engine) -> None:
    script = f"while [ ! -e /go ]; do sleep 0.01; done; {SEQUENCE}; exec sleep 1000"
    with engine.run(App("busybox", ["sh", "-c", script]), log_limits=LogLimits(20_000, 1000)) as pod:
        following = pod.follow_logs()
        pod.exec(["touch", "/go"])
        heard = b""
        for _, entry in following:
            heard += entry.output
            if heard.endswith(b"\n3000\n"):
                break
        following.close()  # type: ignore[attr-defined]
        assert heard.split() == [b"%d" % number for number in range(1, 3001)]
        assert len(logs_of(engine, pod.uuid)) > 5


def test_a_flood_stays_within_its_bounds(engine: Engine) -> None:
    with engine.run(
        App("busybox", ["sh", "-c", SEQUENCE], name="app"), log_limits=LogLimits(30_000, 3)
    ) as pod:
        pod.wait()
        names = logs_of(engine, pod.uuid)
        assert len(names) == 3
        assert all(name.startswith("app.log") for name in names)
        kept = [int(word) for word in pod.logs().text().split()]
        assert kept == list(range(3001 - len(kept), 3001))
        assert 200 < len(kept) < 3000
        assert pod.logs(tail=900).text().split()[-1] == "3000"
        assert len(pod.logs(tail=900).text().split()) == 900


def test_logs_are_chosen_by_time(engine: Engine) -> None:
    script = "echo early; while [ ! -e /go ]; do sleep 0.01; done; echo late"
    with engine.run(App("busybox", ["sh", "-c", script])) as pod:
        next(pod.follow_logs())
        middle_ns = time.time_ns()
        pod.exec(["touch", "/go"])
        pod.wait()
        assert pod.logs(until_ns=middle_ns).text() == "early\n"
        assert pod.logs(since_ns=middle_ns).text() == "late\n"
        assert [entry.data for _, entry in pod.follow_logs(until_ns=middle_ns)] == [b"early"]
        with pytest.raises(InvalidInput):
            pod.logs(until_ns="now")  # type: ignore[arg-type]


def test_following_ends_with_its_time(engine: Engine) -> None:
    with engine.run(App("busybox", ["sh", "-c", "echo first; exec sleep 1000"])) as pod:
        host_view.eventually("it has spoken", lambda: pod.logs().text() == "first\n")
        found = pod.follow_logs(until_ns=time.time_ns() + 300_000_000)
        assert [entry.data for _, entry in found] == [b"first"]
        assert pod.status().state == "running"


def test_apps_are_merged_in_the_order_of_time(engine: Engine) -> None:
    apps = [App("busybox", ["sh", "-c", SEQUENCE], name=name) for name in ("one", "two")]
    with engine.run(*apps, log_limits=LogLimits(8_192, 100)) as pod:
        pod.wait()
        times = [entry.time_ns for batch in pod.log_batches(follow=False) for _, entry in batch]
        assert len(times) == 6000
        assert times == sorted(times)


def test_a_thousand_follow_one_pod_without_inotify(engine: Engine) -> None:
    script = "while [ ! -e /go ]; do sleep 0.01; done; echo went; exec sleep 1000"
    pipes: list[int] = []
    with engine.run(App("busybox", ["sh", "-c", script])) as pod:
        with open_pod(engine.data_dir, pod.uuid) as opened:
            for _ in range(1000):
                pipes.append(client.follow(opened.fd(), pod.uuid))
        try:
            for pipe in pipes:
                heard(pipe)
            pod.exec(["touch", "/go"])
            for pipe in pipes:
                assert heard(pipe)
            assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"
        finally:
            for pipe in pipes:
                os.close(pipe)


def heard(pipe: int) -> bytes:
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    assert waiting.poll(60_000), "nothing was heard"
    return os.read(pipe, 100)


def test_limits_are_checked_when_they_are_given() -> None:
    for limits in ((0, 5), (100, 5), (1 << 20, 0), ("10m", 5)):
        with pytest.raises(InvalidInput):
            LogLimits(*limits)
