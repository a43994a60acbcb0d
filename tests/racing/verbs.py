"""The verbs of the library, each with how its outcome is written down."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from carob import App, CarobError, Engine, Exited, PodHandle, PodStatus
from carob.engine.request.pod import PodRequest
from tests.crash.world import CODE
from tests.racing.history import OK

APPS = ("one", "two")
IMAGES = ("race0", "race1", "race2")
VOLUMES = ("vol0", "vol1")
WEIGHTS = (50, 22, 12, 12, 4)
"""How often something is done to a pod, to a mutable one, to all pods, to images and to volumes."""
_STAYS = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done")
_ENDS = ("sh", "-c", f"sleep 0.3; exit {CODE}")
_LONG_S = 1000.0


class Slot:
    """A place that a pod's uuid is written down at, for all workers; the one before it, too."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self._path = directory / name

    def uuids(self) -> list[str]:
        """The present pod and the one before, as far as there are such."""
        try:
            return self._path.read_text().split()
        except FileNotFoundError:
            return []

    def put(self, uuid: str) -> None:
        """Makes it the present one."""
        temporary = self._path.with_name(f".{self.name}.{os.getpid()}")
        temporary.write_text(" ".join([uuid, *self.uuids()[:1]]))
        temporary.rename(self._path)


class Record:
    """What one worker writes down: a line before each call, and one after it."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "ab", buffering=0)

    def call(self, verb: str, target: str, work: Callable[[], Any], *given: str) -> str:
        """Does it, and returns the outcome."""
        self._write(begin=time.monotonic_ns(), verb=verb, target=target, given=given)
        value, words, outcome = None, "", OK
        try:
            value = work()
        except CarobError as error:
            outcome, words = type(error).__name__, f"{error.message} {error.__cause__ or ''}"
            if verb == "image run" and error.uuid:
                outcome = "of its pod"
        except Exception as error:  # what no caller should see is for the checker to tell
            outcome, words = f"raw {type(error).__name__}", repr(error)
        self._write(end=time.monotonic_ns(), outcome=outcome, value=value, words=words)
        return outcome

    def made(self, uuid: str) -> None:
        """Says which pod the present call is about."""
        self._write(made=uuid)

    def _write(self, **line: Any) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")


class Verbs:
    """All that a worker may do, chosen by ``chance``, with ``weights`` as in ``WEIGHTS``."""

    def __init__(
        self, engine: Engine, top: Path, record: Record, chance: random.Random, weights: list[int]
    ) -> None:
        self._engine = engine
        self._record = record
        self._chance = chance
        self._weights = weights
        self._ids: list[str] = json.loads((top / "ids.json").read_text())
        self._sources = [top / f"source{number}" for number in range(len(self._ids))]
        self._pods = [Slot(top / "slots", name) for name in ("stays0", "stays1", "ends0")]
        self._sandboxes = [Slot(top / "slots", "sandbox")]

    def one(self) -> None:
        """Does one of them."""
        kinds = (self._pod, self._sandbox, self._all, self._image, self._volume)
        self._chance.choices(kinds, weights=self._weights)[0]()

    # -- pods

    def _pod(self) -> None:
        slot = self._chance.choice(self._pods)
        uuids = slot.uuids()
        if not uuids or self._chance.random() < 0.05:
            self._make(slot)
            return
        pod = self._engine.handle(uuids[0] if self._chance.random() < 0.85 else uuids[-1])
        does: dict[str, tuple[int, Callable[[], Any]]] = {
            "run-prepared": (22, pod.run),
            "stop": (5, lambda: pod.stop(grace_s=0.2)),
            "kill": (4, pod.kill),
            "rm": (7, pod.remove),
            "rm --force": (3, lambda: pod.remove(force=True)),
            "status": (20, lambda: _told(pod.status())),
            "wait": (8, lambda: _awaited(pod)),
            "exec": (12, lambda: self._exec(pod)),
            "pause": (6, pod.pause),
            "resume": (9, pod.resume),
        }
        verb = self._chance.choices([*does], weights=[weight for weight, _ in does.values()])[0]
        outcome = self._record.call(verb, pod.uuid, does[verb][1])
        if pod.uuid == uuids[0] and (outcome == "NotFound" or (verb.startswith("rm") and outcome == OK)):
            self._make(slot)

    def _make(self, slot: Slot) -> None:
        """Where several see that a pod is gone, several make one: the slot has the last."""
        stays = slot.name.startswith("stays")
        request = PodRequest((App("busybox", _STAYS if stays else _ENDS, name="app"),))
        is_early = self._chance.random() < 0.5

        def note(step: str, uuid: str) -> None:
            if step == "made":
                self._record.made(uuid)
            if is_early and step == "prepared":
                slot.put(uuid)

        if self._chance.random() < 0.5:
            self._record.call("run", "", lambda: self._ran(request, note, slot), slot.name)
        else:
            self._record.call("prepare", "", lambda: self._prepared(request, note, slot), slot.name)

    def _ran(self, request: PodRequest, note: Callable[[str, str], object], slot: Slot) -> None:
        slot.put(self._engine.run_request(request, progress=note).uuid)

    def _prepared(self, request: PodRequest, note: Callable[[str, str], object], slot: Slot) -> None:
        slot.put(self._engine.prepare_request(request, progress=note).uuid)

    def _exec(self, pod: PodHandle) -> None:
        ended = pod.exec(["true"], timeout_s=20).end
        if ended != Exited(0):
            raise Died(repr(ended))

    # -- apps of mutable pods

    def _sandbox(self) -> None:
        slot = self._chance.choice(self._sandboxes)
        uuids = slot.uuids()
        if not uuids:
            self._make_sandbox(slot)
            return
        pod, name = self._engine.handle(uuids[0]), self._chance.choice(APPS)
        if self._chance.random() < 0.03:
            verb = self._chance.choice(["stop", "kill", "rm --force"])
            self._record.call(
                verb,
                pod.uuid,
                {
                    "stop": lambda: pod.stop(grace_s=0.2),
                    "kill": pod.kill,
                    "rm --force": lambda: pod.remove(force=True),
                }[verb],
            )
            self._make_sandbox(slot)
            return
        app = App("busybox", _STAYS, name=name)
        does: dict[str, Callable[[], Any]] = {
            "app add": lambda: pod.add(app),
            "app start": lambda: pod.start_app(name),
            "app stop": lambda: pod.stop_app(name, grace_s=0.2),
            "app rm": lambda: pod.remove_app(name),
            "app rm --force": lambda: pod.remove_app(name, force=True),
        }
        verb = self._chance.choice([*does, "status"])
        if verb == "status":
            self._record.call("status", pod.uuid, lambda: _told(pod.status()))
        else:
            self._record.call(verb, f"{pod.uuid}/{name}", does[verb])

    def _make_sandbox(self, slot: Slot) -> None:
        def note(step: str, uuid: str) -> None:
            if step == "made":
                self._record.made(uuid)

        request = PodRequest((), mutable=True)
        self._record.call("sandbox", "", lambda: self._ran(request, note, slot), slot.name)

    # -- all pods

    def _all(self) -> None:
        engine = self._engine
        expire_s = self._chance.choice([0.0, _LONG_S, _LONG_S])
        does: dict[str, tuple[int, Callable[[], Any]]] = {
            "list": (5, lambda: {one.uuid: _told(one) for one in engine.list()}),
            "summaries": (5, lambda: {one.uuid: [str(one.state), "", None] for one in engine.summaries()}),
            "gc": (3, lambda: self._collect(grace_s=0.0, expire_prepared_s=expire_s)),
            "gc --mark-only": (2, lambda: self._collect(mark_only=True)),
        }
        verb = self._chance.choices([*does], weights=[weight for weight, _ in does.values()])[0]
        self._record.call(verb, "", does[verb][1])

    def _collect(self, **options: Any) -> dict[str, str]:
        done = self._engine.gc(**options)
        told = {problem.partition(":")[0]: problem for problem in done.problems}
        for word in ("marked", "discarded", "deleted"):
            told |= dict.fromkeys(getattr(done, word), word)
        return told

    # -- images and volumes

    def _image(self) -> None:
        images, name, other = self._engine.images, *self._chance.sample(IMAGES, 2)
        number = self._chance.randrange(len(self._ids))
        does: dict[str, tuple[int, Callable[[], Any], tuple[str, ...]]] = {
            "image import": (
                3,
                lambda: images.import_path(self._sources[number], name=name).image_id,
                (name, self._ids[number]),
            ),
            "image tag": (3, lambda: images.tag(name, other).image_id, (name, other)),
            "image rm": (4, lambda: images.remove(name), (name,)),
            "image resolve": (4, lambda: images.resolve(name).image_id, (name,)),
            "image list": (3, self._image_names, ()),
            "image run": (4, lambda: self._run_image(name), (name,)),
            "image gc": (3, lambda: self._none_broken(images.gc()), ()),
            "image verify": (1, lambda: self._none_broken(images.verify()), ()),
        }
        verb = self._chance.choices([*does], weights=[one[0] for one in does.values()])[0]
        _, work, given = does[verb]
        self._record.call(verb, "images", work, *given)

    def _image_names(self) -> dict[str, str]:
        return {
            name.rpartition("/")[2].partition(":")[0]: image.image_id
            for image in self._engine.images.list()
            for name in image.names
            if "race" in name
        }

    def _run_image(self, name: str) -> str:
        with self._engine.run(App(name, ["true"], name="app")) as pod:
            return pod.status().apps[0].image_id

    def _none_broken(self, found: Any) -> None:
        if told := getattr(found, "broken", ()) or getattr(found, "problems", ()):
            raise ValueError(str(told))

    def _volume(self) -> None:
        volumes, name = self._engine.volumes, self._chance.choice(VOLUMES)
        does: dict[str, Callable[[], Any]] = {
            "volume create": lambda: volumes.create(name) and None,
            "volume rm": lambda: volumes.remove(name),
            "volume get": lambda: volumes.get(name) and None,
        }
        verb = self._chance.choice([*does])
        self._record.call(verb, name, does[verb])


class Died(CarobError):
    """A process that was to end well did not."""


Died.__name__ = "died"


def _told(status: PodStatus) -> list[Any]:
    """The state, the only app's end, and where that is, or of a mutable pod where each is."""
    if status.mutable:
        return [str(status.state), {app.name: app.state for app in status.apps}, None]
    app = status.apps[0] if status.apps else None
    return [str(status.state), _end(app.end) if app else "", app.state if app else None]


def _awaited(pod: PodHandle) -> str | None:
    ends = [*pod.wait(timeout_s=0.4).apps.values()]
    return _end(ends[0]) if ends else None


def _end(end: Any) -> str:
    match end:
        case None:
            return ""
        case Exited(code):
            return f"exited {code}"
        case _ if type(end).__name__ == "Signaled":
            return f"signaled {end.signal}"
        case _:
            return type(end).__name__.lower()
