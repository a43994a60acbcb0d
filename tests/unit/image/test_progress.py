from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from carob.image.fetch import progress as module
from carob.image.fetch.progress import LayerProgress, Phase, Progress
from tests.unit.image.memory_source import described

LAYERS = (described(b"a" * 10), described(b"b" * 20))


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock  # type: ignore[return-value]


def test_every_layer_is_told_of_first(clock: Clock) -> None:
    events: list[LayerProgress] = []
    Progress(LAYERS, events.append).begin()
    assert events == [
        LayerProgress(0, 2, LAYERS[0].digest, 10, 0, Phase.WAITING),
        LayerProgress(1, 2, LAYERS[1].digest, 20, 0, Phase.WAITING),
    ]


def test_ten_events_a_second_at_most(clock: Clock) -> None:
    events: list[LayerProgress] = []
    progress = Progress(LAYERS, events.append)
    progress.enter(1, Phase.DOWNLOADING)
    for number in range(1, 1001):
        clock.now_s += 0.001
        progress.reach(1, number)
    assert 9 <= len(events) <= 11
    assert events[-1].done_bytes > 800


def test_a_new_phase_is_told_at_once_and_the_last_one_stays(clock: Clock) -> None:
    events: list[LayerProgress] = []
    progress = Progress(LAYERS, events.append)
    for phase in (Phase.DOWNLOADING, Phase.DOWNLOADING, Phase.UNPACKING, Phase.DONE, Phase.UNPACKING):
        progress.enter(0, phase)
    assert [event.phase for event in events] == [Phase.DOWNLOADING, Phase.UNPACKING, Phase.DONE]
    assert [event.done_bytes for event in events] == [0, 10, 10]
    progress.enter(1, Phase.SHARED)
    progress.enter(1, Phase.DONE)
    assert events[-1].phase is Phase.SHARED


def test_one_call_at_a_time() -> None:
    inside: list[int] = []
    overlaps: list[int] = []

    def callback(event: LayerProgress) -> None:
        inside.append(1)
        overlaps.append(len(inside))
        inside.pop()

    progress = Progress(LAYERS, callback)
    phases = (Phase.WAITING, Phase.DOWNLOADING, Phase.VERIFYING)
    threads = [
        threading.Thread(target=lambda: [progress.enter(0, phases[n % 3]) for n in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(overlaps) == {1}


def test_nobody_listens(clock: Clock) -> None:
    progress = Progress(LAYERS, None)
    progress.begin()
    progress.enter(0, Phase.DONE)
    progress.reach(0, 5)
