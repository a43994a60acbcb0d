"""What happened to pods is told whole, whoever reads it and however slowly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator

import pytest

from carob import App, Engine
from carob.aio import Engine as AsyncEngine
from carob.engine.observe.events import Event
from carob.errors import InvalidInput, NotFound
from carob.pod import Pod, new_pod
from tests.root import host_view

LAG_NS = 20_000_000  # files' own times lag behind the clock
LIFE = ["prepared", "started", "app-started", "app-ended", "ended", "removed"]


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def test_a_timeline_has_all_that_happened(engine: Engine) -> None:
    apps = [
        App("busybox", ["true"], name="good"),
        App("busybox", ["sh", "-c", "sleep 0.2; exit 3"], name="bad"),
    ]
    before_ns = time.time_ns()
    pod = engine.prepare(*apps, name="of-two")
    assert kinds(pod.timeline()) == ["prepared"]
    pod.run()
    pod.wait()
    told = pod.timeline()
    assert kinds(told)[:2] == ["prepared", "started"]
    assert sorted(kinds(told)[2:-1]) == ["app-ended", "app-ended", "app-started", "app-started"]
    assert [event.app for event in told if event.kind == "app-ended"] == ["good", "bad"]
    assert told[-1].kind == "ended"
    assert (told[-1].outcome, told[-1].reason) == ("app failed", "app bad failed")
    assert [event.end for event in told if event.app == "bad"] == [None, {"kind": "exited", "code": 3}]
    times = [event.time_ns for event in told]
    assert times == sorted(times)
    assert before_ns - 1e9 < times[0] <= times[-1] < time.time_ns() + 1e9
    pod.remove()
    assert kinds(pod.timeline()) == [*kinds(told), "removed"]
    with pytest.raises(NotFound):
        engine.handle("3f0b0a52-2d3c-4a6b-9a0b-000000000000").timeline()


@contextlib.contextmanager
def listening(engine: Engine) -> Iterator[list[Event]]:
    """What a reader in a thread is told, up to the end of the block."""
    heard: list[Event] = []
    begun, over = threading.Event(), threading.Event()

    def read() -> None:
        events = engine.events(since_ns=time.time_ns() - LAG_NS)
        begun.set()
        for event in events:
            heard.append(event)
            if over.is_set():
                events.close()  # type: ignore[attr-defined]
                return

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait()
    try:
        yield heard
    finally:
        over.set()
        last = engine.prepare(App("busybox", ["true"]))  # it is there until it was heard of
        thread.join()
        last.remove()


def test_events_come_as_they_happen_in_the_order_of_a_life(engine: Engine) -> None:
    with listening(engine) as heard:
        pod = engine.prepare(
            App("busybox", ["sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done"], name="app")
        )
        host_view.eventually("it is prepared", lambda: kinds(heard) == LIFE[:1])
        pod.run()
        host_view.eventually("it runs", lambda: kinds(heard) == LIFE[:3])
        pod.exec(["touch", "/go"])
        host_view.eventually("it has ended", lambda: kinds(heard) == LIFE[:5])
        assert heard[-1].outcome == "finished"
        assert pod.status().state == "exited"  # what is told to have ended has
        pod.remove()
        host_view.eventually("it is gone", lambda: kinds(heard) == LIFE)
        assert {event.uuid for event in heard} == {pod.uuid}


def test_the_end_of_a_pod_whose_keepers_were_killed_is_told(engine: Engine) -> None:
    with listening(engine) as heard:
        pod = engine.run(App("busybox", ["sleep", "1000"], name="app"))
        status = pod.status()
        assert status.pid is not None
        assert status.monitor_pid is not None
        os.kill(status.monitor_pid, 9)
        os.kill(status.pid, 9)
        host_view.eventually("its end is told", lambda: "ended" in kinds(heard))
        ends = [event.end for event in heard if event.kind == "app-ended"]
        assert [end["kind"] for end in ends if end is not None] == ["unknown"]
        pod.remove(force=True)


def test_a_slow_reader_loses_nothing_of_pods_that_are_long_gone(engine: Engine) -> None:
    events = engine.events(since_ns=time.time_ns() - LAG_NS)
    first = engine.prepare(App("busybox", ["true"]))
    assert next(events).kind == "prepared"
    first.remove()
    lives = []
    for _ in range(3):
        pod = engine.run(App("busybox", ["true"], name="app"))
        pod.wait()
        pod.remove()
        lives.append(pod.uuid)
    told: dict[str, list[str]] = {}
    for event in events:
        told.setdefault(event.uuid, []).append(event.kind)
        if sum(life[-1] == "removed" for life in told.values()) == 4:
            break
    events.close()  # type: ignore[attr-defined]
    assert told.pop(first.uuid) == ["removed"]
    assert told == dict.fromkeys(lives, LIFE)


def test_the_past_is_told_from_a_time_on(engine: Engine) -> None:
    first = engine.run(App("busybox", ["true"]))
    first.wait()
    first.remove()
    middle_ns = time.time_ns()
    second = engine.prepare(App("busybox", ["true"]))
    told = list(engine.events(since_ns=0, follow=False))
    assert kinds([event for event in told if event.uuid == first.uuid]) == LIFE
    assert [event.time_ns for event in told] == sorted(event.time_ns for event in told)
    assert [event.uuid for event in engine.events(since_ns=middle_ns, follow=False)] == [second.uuid]
    assert list(engine.events(follow=False)) == []
    with pytest.raises(InvalidInput):
        next(engine.events(since_ns=-1))
    second.remove()


def test_events_on_a_loop(engine: Engine) -> None:
    async def main() -> list[str]:
        found = []
        async with (
            AsyncEngine(engine.data_dir) as loop_engine,
            contextlib.aclosing(loop_engine.events(since_ns=time.time_ns() - LAG_NS)) as events,
        ):
            life = asyncio.create_task(live(loop_engine))
            async for event in events:
                found.append(event.kind)
                if event.kind == "removed":
                    break
            await life
        return found

    async def live(loop_engine: AsyncEngine) -> None:
        pod = await loop_engine.run(App("busybox", ["true"]))
        await pod.wait()
        await pod.remove()

    assert asyncio.run(main()) == LIFE


def test_a_pod_that_took_long_to_prepare_is_told_from_when_it_could_be_seen(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[int] = []
    sync = Pod.sync

    def slow(pod: Pod) -> None:
        time.sleep(0.1)
        moments.append(time.time_ns())
        time.sleep(0.1)
        sync(pod)

    monkeypatch.setattr(Pod, "sync", slow)
    following = engine.events(since_ns=time.time_ns())
    pod = engine.prepare(App("busybox", ["true"]))
    (asked_ns,) = moments
    assert pod.timeline()[0].time_ns < asked_ns
    assert kinds([*engine.events(since_ns=asked_ns, follow=False)]) == ["prepared"]
    assert kinds([*engine.events(since_ns=time.time_ns(), follow=False)]) == []
    assert next(following).uuid == pod.uuid
    following.close()  # type: ignore[attr-defined]


def test_a_preparation_that_was_cut_short_is_told(engine: Engine) -> None:
    before_ns = time.time_ns() - LAG_NS
    child = os.fork()
    if child == 0:
        try:
            new_pod(engine.data_dir)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    (event,) = engine.events(since_ns=before_ns, follow=False)
    assert event.kind == "prepare-aborted"
    assert kinds(engine.handle(event.uuid).timeline()) == ["prepare-aborted"]
    assert [*engine.events(since_ns=time.time_ns(), follow=False)] == []
    watching = engine.events(since_ns=before_ns)
    assert next(watching).kind == "prepare-aborted"
    engine.gc()
    assert next(watching).kind == "removed"
    watching.close()  # type: ignore[attr-defined]
