"""Lists of exited pods: states beside the kernel's part of the work, documents beside reading them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial

from bench.exited_pods import exited_pods
from bench.figure import Figure, Skipped, Target, Unmeasurable
from bench.pairs import MODES, in_turn, timed
from bench.setting import Setting
from carob import Engine
from carob.pod import Directory, scan
from carob.pod.directory import directory_path

_COUNTS = (100, 1_000, 10_000)
_COUNTS_QUICK = (100, 1_000)
_SCANS = 30
_LISTS = 9
_RKT = "Go rkt's walk of 10,000 pods took 230 to 290 ms on a machine of this kind"


def states(setting: Setting) -> Iterator[Figure | Skipped]:
    """``carob.pod.scan`` beside a directory read and two reads of /proc/locks."""
    for count in _COUNTS_QUICK if setting.quick else _COUNTS:
        engine = exited_pods(setting, count)
        for mode, gap_s in MODES:
            takes = [timed(partial(scan, engine.data_dir)), timed(_floor(engine))]
            ours, theirs = in_turn(takes, setting.pairs(_SCANS), gap_s, warm_up=3)
            most = count == _COUNTS[-1]
            yield Figure(
                f"list states of {count:,} pods", ours, mode,
                peer="directory, 2 x /proc/locks", theirs=theirs,
                target=Target(ratio=1.6) if most else None, note=_RKT if most else "",
            )  # fmt: skip


def documents(setting: Setting) -> Iterator[Figure | Skipped]:
    """``Engine.list`` and ``carob list --format=json`` beside a loop that reads and parses the manifests."""
    count = _COUNTS_QUICK[-1] if setting.quick else _COUNTS[-1]
    peer = "loop: read, parse manifests"
    engine = exited_pods(setting, count)
    takes = [timed(engine.list), timed(_parse_loop(engine, count))]
    ours, theirs = in_turn(takes, setting.pairs(_LISTS), warm_up=1)
    yield Figure(f"library: list {count:,} pods whole", ours, MODES[0][0], peer=peer, theirs=theirs)
    what = f"carob list --format=json, {count:,} pods"
    try:
        installed = setting.installed
        command = [installed.command, f"--dir={engine.data_dir}", "list", "--format=json"]
        setting.spawner.run(command)
        takes = [lambda: setting.spawner.run(command)[0], timed(_parse_loop(engine, count))]
        target = Target(ratio=2) if setting.quick else Target(ratio=2, value=230)
        for mode, gap_s in MODES:
            ours, theirs = in_turn(takes, setting.pairs(_LISTS), gap_s)
            yield Figure(what, ours, mode, peer=peer, theirs=theirs, target=target, note=_RKT)
    except Unmeasurable as error:
        yield Skipped(what, str(error))


def _floor(engine: Engine) -> Callable[[], object]:
    runs = directory_path(engine.data_dir, Directory.RUN)

    def read() -> None:
        os.listdir(runs)
        for _ in range(2):
            with open("/proc/locks", "rb", buffering=0) as file:
                while file.read(65536):
                    pass

    return read


def _parse_loop(engine: Engine, count: int) -> Callable[[], object]:
    runs = directory_path(engine.data_dir, Directory.RUN)

    def read() -> None:
        found = []
        for name in os.listdir(runs):
            with open(f"{runs}/{name}/pod", "rb") as file:
                found.append(json.loads(file.read()))
        if len(found) != count:
            raise Unmeasurable(f"{len(found)} pods instead of {count}")

    return read
