"""The processes of pods, and what they use."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from carob import App, Engine
from carob.aio import Engine as AsyncEngine
from carob.errors import Conflict, InvalidInput
from tests.root import host_view

BUSY = "echo $$ >/tmp/pid; while :; do :; done"
FILLS = "dd if=/dev/zero of=/dev/shm/f bs=1M count=20 2>/dev/null; sleep 1000 & exec sleep 2000"


def test_processes_are_told_by_app(engine: Engine) -> None:
    apps = [
        App("busybox", ["sh", "-c", "sleep 1000 & exec sleep 2000"], name="two", user="worker"),
        App("busybox", ["sleep", "3000"], name="one"),
    ]
    with engine.run(*apps) as pod:
        host_view.eventually("all are there", lambda: len(pod.top()) == 3)
        found = {one.command: one for one in pod.top()}
        assert set(found) == {"sleep 1000", "sleep 2000", "sleep 3000"}
        first = found["sleep 2000"]
        assert (first.app, first.app_pid, first.uid, first.user) == ("two", 1, 1234, "worker")
        assert Path(f"/proc/{first.pid}/cmdline").read_bytes() == b"sleep\x002000\x00"
        assert first.pod_pid > 1
        assert abs(first.started_ns - time.time_ns()) < 60e9
        assert [one.command for one in pod.top("two")] == ["sleep 2000", "sleep 1000"]
        assert pod.top("one")[0].user == "root"
        with pod.start(["sleep", "4000"], app="one") as more:
            host_view.eventually("an exec is one of them", lambda: len(pod.top("one")) == 2)
            more.kill()
            more.wait()
    with pytest.raises(Conflict, match="does not run"):
        engine.prepare(App("busybox", ["true"])).top()


def test_names_of_users_are_not_read_through_links(engine: Engine) -> None:
    script = "rm /etc/passwd; ln -s /proc/1/root/../../../etc/passwd /etc/passwd; exec sleep 1000"
    with engine.run(App("busybox", ["sh", "-c", script])) as pod:
        host_view.eventually("it is up", lambda: pod.top()[0].command == "sleep 1000")
        assert pod.top()[0].user == "0"


def test_usage_is_told_by_pod_and_app(engine: Engine) -> None:
    apps = [App("busybox", ["sh", "-c", BUSY], name="busy"), App("busybox", ["sh", "-c", FILLS], name="big")]
    with engine.run(*apps, name="both") as pod:
        stream = pod.follow_stats(interval_s=0.2)
        next(stream)
        host_view.eventually("memory is used", lambda: (pod.stats().apps["big"].memory_bytes or 0) > 20 << 20)
        seen = next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert (seen.uuid, seen.name) == (pod.uuid, "both")
        assert seen.apps["busy"].cpu_ns is not None
        assert seen.total.cpu_ns is not None
        assert seen.total.cpu_ns >= seen.apps["busy"].cpu_ns > 0
        assert seen.cpu_percent["busy"] > seen.cpu_percent["big"]
        assert seen.cpu_percent["busy"] > 1
        big = seen.apps["big"]
        assert big.memory_bytes is not None
        assert big.working_set_bytes is not None
        assert 20 << 20 < big.working_set_bytes <= big.memory_bytes
        assert big.pids == 2
        assert seen.network == {}  # it has a network of its own with the loopback alone
        assert [one.uuid for one in engine.stats()] == [pod.uuid]
        following = pod.follow_stats(interval_s=1000)
        next(following)
        pod.kill()
        assert list(following) == []
        with pytest.raises(Conflict, match="does not run"):
            pod.stats()
        assert engine.stats() == []
    with pytest.raises(InvalidInput):
        next(pod.follow_stats(interval_s=-1))


def test_usage_on_a_loop_ends_with_the_pod(engine: Engine) -> None:
    async def main() -> int:
        app = App("busybox", ["sleep", "1000"])
        async with AsyncEngine(engine.data_dir) as loop_engine, await loop_engine.run(app) as pod:
            count = 0
            async for seen in pod.follow_stats(interval_s=0.05):
                assert seen.uuid == pod.uuid
                count += 1
                if count == 3:
                    await pod.kill()
            return count

    assert asyncio.run(main()) >= 3
