"""A race: workers in a world of their own, some of them killed, and what is wrong with what they saw."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from carob import Engine
from carob.errors import NotFound
from tests.crash.world import World
from tests.needs import ROOT
from tests.racing import apps, history, names, pods
from tests.racing.checker import GaveUp, Model, Unexplained, explain
from tests.racing.history import OK, Call
from tests.racing.verbs import APPS, IMAGES, VOLUMES, WEIGHTS
from tests.racing.worker import STOP

_PATIENCE_S = 120.0


class Race:
    """The processes and what they wrote down, below ``world.top``."""

    def __init__(
        self,
        world: World,
        *,
        workers: int,
        seed: int,
        weights: tuple[int, ...] = WEIGHTS,
        program: tuple[str, ...] = ("tests.racing.worker",),
    ) -> None:
        """``weights`` says how often each kind of verb is done (``verbs.WEIGHTS``)."""
        self.world = world
        self._workers = workers
        self._chance = random.Random(seed)
        self._weights = json.dumps(weights)
        self._program = program
        self._started = 0
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._died: dict[int, int] = {}
        self.killed = 0
        self.troubles: list[str] = []

    def run(self, seconds: float, *, at_least: int = 0) -> list[Call]:
        """Lets them race for that long, and until there are that many calls; returns all calls."""
        self._set_up()
        until = time.monotonic() + seconds
        try:
            for _ in range(self._workers):
                self._start()
            while (left_s := until - time.monotonic()) > 0 or self._calls() < at_least:
                time.sleep(min(max(left_s, 0.1), self._chance.uniform(0.2, 1.0)))
                self._kill(self._chance.choice([*self._running]))
            (self.world.top / STOP).touch()
            self._wait()
        finally:
            for process in self._running.values():
                process.kill()
                process.wait()
        return history.in_order(
            call
            for number, died in self._died.items()
            for call in history.read(self._record(number), number, died)
        )

    def _kill(self, victim: int) -> None:
        """Kills a worker that has come to do something, and puts another in its place."""
        if self._record(victim).stat().st_size:
            self._running[victim].kill()
            self.killed += 1
            self._end(victim)
            self._start()

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        for number, process in [*self._running.items()]:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                self.troubles.append(f"worker {number} hangs")
            self._end(number)

    def _record(self, number: int) -> Path:
        return self.world.top / "records" / str(number)

    def _calls(self) -> int:
        """About how many there were: two lines each."""
        return sum([self._record(number).read_bytes().count(b"\n") for number in range(self._started)]) // 2

    def _set_up(self) -> None:
        top, ids = self.world.top, []
        for name in ("slots", "records"):
            shutil.rmtree(top / name, ignore_errors=True)
            (top / name).mkdir()
        (top / STOP).unlink(missing_ok=True)
        images = Engine(self.world.data_dir).images
        for number in range(2):
            source = top / f"source{number}"
            if not source.exists():
                shutil.copytree(top / "rootfs", source, symlinks=True)
                (source / "which").write_text(str(number))
            ids.append(images.import_path(source, name=IMAGES[0]).image_id)
            images.remove(IMAGES[0])
        (top / "ids.json").write_text(json.dumps(ids))

    def _start(self) -> None:
        number, self._started = self._started, self._started + 1
        seed = self._chance.getrandbits(32)
        words = [str(self.world.top), str(number), str(seed), self._weights]
        self._record(number).touch()
        with open(self.world.top / "records" / f"{number}.err", "wb") as errors:
            self._running[number] = subprocess.Popen(
                [sys.executable, "-m", *self._program, *words],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd=ROOT,
                env=self.world.environment,
            )

    def _end(self, number: int) -> None:
        process = self._running.pop(number)
        process.kill()
        process.wait()
        self._died[number] = time.monotonic_ns()
        said = (self.world.top / "records" / f"{number}.err").read_text()
        if process.returncode not in (0, -9) or said:
            self.troubles.append(f"worker {number} ended with {process.returncode}: {said}")

    def clean(self) -> None:
        """Takes all away by carob's verbs. Raises ``Violation`` where something is left."""
        engine = Engine(self.world.data_dir)
        for pod in engine.list():
            engine.handle(pod.uuid).remove(force=True)  # it may be what uses an image
        for remove, names_of_these in ((engine.images.remove, IMAGES), (engine.volumes.remove, VOLUMES)):
            for name in names_of_these:
                with contextlib.suppress(NotFound):
                    remove(name)
        self.world.clean()


def objects(calls: list[Call]) -> Iterator[tuple[str, Model, list[Call]]]:
    """What the race was about, thing by thing: each with its model and its history."""
    makers = {call.target: call for call in calls if call.verb in pods.MAKERS and call.target}
    for uuid, maker in makers.items():
        of_pod = history.about(calls, uuid, pods.OF_ALL)
        kind = maker.given[0]
        yield f"pod {uuid} ({kind})", pods.PodModel(stays=not kind.startswith("ends")), of_pod
        for name in APPS if maker.verb == "sandbox" else ():
            seen = [_of_app(call, name) for call in of_pod if call.verb not in pods.OF_ALL]
            about = [call for call in calls if call.target == f"{uuid}/{name}"]
            yield f"app {name} of pod {uuid}", apps.AppModel(), history.in_order(seen + about)
    of_images = [
        call for call in calls if call.target == "images" and call.verb not in ("image gc", "image verify")
    ]
    yield "images", names.ImageNames(), of_images
    for name in VOLUMES:
        yield f"volume {name}", names.VolumeName(), [call for call in calls if call.target == name]


def _of_app(call: Call, name: str) -> Call:
    if call.verb == "status" and call.outcome == OK and isinstance(call.value[1], dict):
        return call._replace(value=call.value[1].get(name))
    return call


def judge(calls: list[Call]) -> tuple[list[str], Counter[str]]:
    """What is wrong, and how many histories of each kind were looked at."""
    wrong = [str(call) for call in calls if call.outcome.startswith("raw ")]
    wrong += [f"{call}" for call in calls if call.verb in _NEVER_FAIL and call.outcome not in (OK, "killed")]
    counts: Counter[str] = Counter()
    for title, model, told in objects(calls):
        counts[title.split()[0]] += 1
        try:
            found: Unexplained | None = explain(model, told)
        except GaveUp:
            counts["given up"] += 1
            continue
        if found is not None:
            wrong.append(f"{title}: {found}")
    return wrong, counts


_NEVER_FAIL = frozenset({*pods.OF_ALL, "image list", "image gc", "image verify"})


def write(path: Path, seed: int, calls: list[Call]) -> None:
    """Adds the calls of a round to a file, a line of JSON each."""
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(json.dumps({"seed": seed, **call._asdict()}) + "\n" for call in calls)
