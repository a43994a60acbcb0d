"""Apps that are restarted, paused and ended by several at once, and keepers that are killed amid that."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable

import pytest

from carob import App, CarobError, Engine, PodHandle
from tests.root import host_view

SOON_S = 60
LOOPS = App("busybox", ["sh", "-c", "echo run; exit 1"], name="loops", restart="always")
TICKS = App("busybox", ["sh", "-c", "while :; do sleep 0.01; done"], name="ticks")
SIDE = App("busybox", ["sh", "-c", "while :; do sleep 0.01; done"], name="side", role="sidecar")

DEEDS: list[Callable[[PodHandle], object]] = [
    lambda pod: pod.pause(),
    lambda pod: pod.resume(),
    lambda pod: pod.restart(app="ticks", grace_s=0.05),
    lambda pod: pod.signal(10, app="ticks"),
    lambda pod: pod.exec(["true"], app="ticks", timeout_s=5),
    lambda pod: pod.status(),
]


def nothing_is_left(engine: Engine, pod: PodHandle, inside: host_view.Inside) -> None:
    assert engine.gc(grace_s=0).problems == []
    host_view.nothing_left(engine.data_dir, pod.uuid, inside)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_racing_callers_do_the_pod_can_be_ended(engine: Engine, seed: int) -> None:
    """Each call does what it says or says why not; stop, kill and removal at once leave nothing."""
    chance = random.Random(seed)
    pod = engine.run(LOOPS, TICKS, SIDE, grace_s=0.2)
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    inside = host_view.Inside(host_view.keeper(directory, "init"))
    raw: list[BaseException] = []

    def act(deeds: list[Callable[[PodHandle], object]]) -> None:
        for deed in deeds:
            try:
                deed(pod)
            except CarobError:
                continue
            except BaseException as error:
                raw.append(error)

    threads = [threading.Thread(target=act, args=(chance.choices(DEEDS, k=8),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(chance.random())
    ends: list[Callable[[PodHandle], object]] = [
        PodHandle.stop,
        PodHandle.kill,
        lambda pod: pod.remove(force=True),
    ]
    chance.shuffle(ends)
    threads += [threading.Thread(target=act, args=([end],)) for end in ends]
    for thread in threads[4:]:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
        assert not thread.is_alive()
    assert raw == []
    nothing_is_left(engine, pod, inside)


@pytest.mark.parametrize("victims", [("init",), ("monitor", "init")])
def test_keepers_killed_at_any_moment_of_a_restart(engine: Engine, victims: tuple[str, ...]) -> None:
    """Between its end, its deletion by the runtime, and its new start; with others paused, too."""
    chance = random.Random(len(victims))
    for number in range(6):
        pod = engine.run(LOOPS, TICKS)
        directory = host_view.pod_directory(engine.data_dir, pod.uuid)
        pids = [host_view.keeper(directory, which) for which in victims]
        inside = host_view.Inside(host_view.keeper(directory, "init"))
        if number % 2:
            pod.pause(app="ticks")
        else:
            threading.Thread(target=_restart, args=(pod,)).start()
        time.sleep(chance.random() * 0.3)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        end = pod.wait(timeout_s=SOON_S)
        assert set(end.apps) == {"loops", "ticks"}
        nothing_is_left(engine, pod, inside)


def _restart(pod: PodHandle) -> None:
    try:
        pod.restart(app="ticks", grace_s=0.1)
    except CarobError:
        return  # its init was killed meanwhile
