"""How soon an end is known: init's end to the lock's being free, and that to a waiter's having returned.

Two forked children take the times (CLOCK_MONOTONIC is the same for all): one is blocked in flock(2) on the
pod's directory, so that it returns when the lock is let go; the other kills init and polls its pidfd.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator

from bench.figure import Figure, Sample, Skipped, Target, Unmeasurable
from bench.pairs import MODES
from bench.setting import Setting
from carob.engine.handle import PodHandle
from carob.pod import open_pod

_COUNT = 20
_BEFORE_KILL_S = 0.05
_END_TARGET = Target(value=10)
_WAKE_TARGET = Target(value=5)


def wake_up(setting: Setting) -> Iterator[Figure | Skipped]:
    """Four figures of the same pods, each killed with a waiter waiting."""
    for mode, gap_s in MODES:
        rows = []
        for _ in range(setting.pairs(_COUNT)):
            time.sleep(gap_s)
            rows.append(_one(setting))
        whats = (
            ("SIGKILL of init → init gone", None),
            ("init gone → lock free", None),
            ("SIGKILL of init → lock free", _END_TARGET),
            ("lock free → waiter returned", _WAKE_TARGET),
        )
        for at, (what, target) in enumerate(whats):
            yield Figure(what, Sample(tuple(row[at] for row in rows)), mode, target=target)


def _one(setting: Setting) -> tuple[float, float, float, float]:
    handle = setting.engine.run(setting.app("sleep", "3600"))
    try:
        with open_pod(setting.engine.data_dir, handle.uuid) as pod:
            lock = _in_child(lambda: _when_free(pod.path()))
            end = _in_child(lambda: _kill(handle))
            pod.wait_finished(timeout_s=30)
            woken = time.monotonic()
        (free,) = _answer(lock, 1)
        killed, gone = _answer(end, 2)
    finally:
        handle.remove(force=True)
    return (gone - killed) * 1e3, (free - gone) * 1e3, (free - killed) * 1e3, (woken - free) * 1e3


def _when_free(path: str) -> tuple[float, ...]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return (time.monotonic(),)


def _kill(handle: PodHandle) -> tuple[float, ...]:
    pid = handle.status().pid
    if pid is None:
        raise Unmeasurable("the pod ended by itself")
    pidfd = os.pidfd_open(pid)
    time.sleep(_BEFORE_KILL_S)
    killed = time.monotonic()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    select.select([pidfd], [], [])
    return killed, time.monotonic()


def _in_child(action: Callable[[], tuple[float, ...]]) -> tuple[int, int]:
    """Forks a child that sends what the action gives; returns (its pid, where to read)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _go_before_others()
            times = action()
            os.write(writing, struct.pack(f"{len(times)}d", *times))
        finally:
            os._exit(0)
    os.close(writing)
    return pid, reading


def _go_before_others() -> None:
    """Else the one that takes the time may wait for a processor longer than what it measures takes."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return


def _answer(child: tuple[int, int], count: int) -> tuple[float, ...]:
    pid, reading = child
    raw = os.read(reading, 8 * count)
    os.close(reading)
    os.waitpid(pid, 0)
    if len(raw) != 8 * count:
        raise Unmeasurable("a child that takes the time has failed")
    return struct.unpack(f"{count}d", raw)
