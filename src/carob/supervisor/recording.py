"""Writing down how apps ended, so that it lasts, without holding up what else init has to do.

An exit record takes two waits for the disk, and a wait can be long: one is made between two rounds of init's
loop, so that all else waits for one at most. rkt's own file follows from the record, which carob reads first,
and is synced by nobody, rkt included.
"""

from __future__ import annotations

import os

from carob.linux.files import replace_file, write_durably_in_steps
from carob.protocol import exits, life
from carob.protocol import plan as plans
from carob.protocol.compact_json import dumps
from carob.supervisor.journal import note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from carob.supervisor.apps import App


class Recorder:
    """The exit records of one pod: those still to be written, and those that could not be."""

    __slots__ = ("_failed", "_known", "_pod", "_queue", "_status_directory", "_writing")

    def __init__(self, pod: int, status_directory: str) -> None:
        self._pod = pod
        self._status_directory = status_directory
        self._known: set[str] = set()
        self._queue: list[App] = []
        self._failed: list[App] = []
        self._writing: Iterator[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether there is a next step."""
        return bool(self._queue)

    def add(self, app: App) -> None:
        """Has the app's end written down, once."""
        if app.name not in self._known:
            self._known.add(app.name)
            self._queue.append(app)

    def is_written(self, app: App) -> bool:
        """Whether the end of an app that has ended is on disk, as far as it can be."""
        return app not in self._queue

    def retract(self, app: App) -> None:
        """Takes the app's record back: somebody has it started again. One that is being written is first."""
        while app in self._queue:
            self.step()
        if app in self._failed:
            self._failed.remove(app)
        self._known.discard(app.name)
        for name in (plans.exit_record(app.name), f"{self._status_directory}/{app.name}"):
            try:
                os.unlink(name, dir_fd=self._pod)
            except FileNotFoundError:
                continue

    def note_life(self, app: App) -> None:
        """Notes where an app is that was started again, or is paused. After a power loss nobody needs it."""
        document: dict[str, Any] = {
            "version": life.NOTE_VERSION,
            "app": app.name,
            "state": app.state,
            "restarts": app.restarts,
            "started_ns": app.started_ns,
            "last": app.end and {**app.end, "finished_ns": app.finished_ns},
        }
        try:
            replace_file(plans.life_note(app.name), (dumps(document) + "\n").encode(), dir_fd=self._pod)
        except OSError as error:
            note_failure(f"noting where app {app.name} is", error)

    def step(self) -> bool:
        """Goes on to the next wait for the disk; whether another end is written down now.

        One that cannot be written waits for ``finish``.
        """
        if not self._queue:
            return False
        app = self._queue[0]
        if self._writing is None:
            self._writing = self._write(app)
        try:
            next(self._writing)
        except StopIteration:
            self._queue.pop(0)
            self._writing = None
            return True
        except OSError as error:
            note_failure(f"writing the end of app {app.name}", error)
            self._failed.append(self._queue.pop(0))
            self._writing = None
        return False

    def finish(self, apps: Iterable[App]) -> None:
        """Writes what is not written yet; what failed before (a full disk) is tried once more."""
        for app in apps:
            if app.over:
                self.add(app)
        while self.busy:
            self.step()
        self._queue, self._failed = self._failed, []
        while self.busy:
            self.step()

    def _write(self, app: App) -> Iterator[None]:
        end = app.end
        if end is None:
            end = exits.unknown(
                f"it was never started: {app.failure[1] if app.failure else 'the pod ended first'}"
            )
        document = exits.record(
            app.name, end, started_ns=app.started_ns, finished_ns=app.finished_ns, restarts=app.restarts
        )
        text = (dumps(document) + "\n").encode()
        yield from write_durably_in_steps(plans.exit_record(app.name), text, dir_fd=self._pod)
        code = exits.rkt_code(end)
        if code is not None:
            replace_file(f"{self._status_directory}/{app.name}", b"%d" % code, dir_fd=self._pod)
