"""The probes of a pod's apps, as init keeps them: tried when due, judged, written down, acted upon.

Init looks here at the end of each round of its loop, so whatever has become of an app in that round is seen:
that it runs, stands still, or is being ended. Nothing is due for an app that does not run.
"""

from __future__ import annotations

import time

from carob.linux.files import replace_file
from carob.protocol import life, probing
from carob.protocol.compact_json import dumps
from carob.supervisor.journal import note, note_failure
from carob.supervisor.probes import judge
from carob.supervisor.probes.dial import trouble
from carob.supervisor.probes.tries import Ask, Connect, Execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from carob.supervisor.apps import App
    from carob.supervisor.init import Init
    from carob.supervisor.probes.helper import Helper
    from carob.supervisor.probes.tries import Try


class Probes:
    """Those of one pod."""

    __slots__ = ("_apps", "_helper", "_init")

    def __init__(self, init: Init) -> None:
        """Made before init lets go of the host's tree: what the probes need is loaded here."""
        self._init = init
        self._apps: dict[str, AppProbes] = {}
        self._helper: Helper | None = None
        planned = [one for app in init.plan["apps"] for one in app.get("probes", {}).values()]
        if any(one["kind"] in (probing.HTTP, probing.GRPC) for one in planned):
            from carob.supervisor.probes import helper

            helper.load(planned)
            self._helper = helper.Helper(init)
        for app in init.plan["apps"]:
            if app.get("probes"):
                self._apps[app["name"]] = AppProbes(init, app["name"], app["probes"], self._helper)

    def look(self, now: float) -> None:
        """Does what is due."""
        for name, probes in self._apps.items():
            probes.look(self._init.apps[name], now)

    def due_at(self) -> float | None:
        """When there is something to do even if nothing happens (monotonic clock, s)."""
        moments = [at for probes in self._apps.values() if (at := probes.due_at()) is not None]
        return min(moments, default=None)


class AppProbes:
    """Those of one app. ``_run`` judges its present run, which began at ``_started_ns``."""

    __slots__ = (
        "_changed", "_changes", "_helper", "_init", "_name", "_plans", "_ready", "_reasons", "_run",
        "_started_ns", "_tries",
    )  # fmt: skip

    def __init__(
        self, init: Init, name: str, plans: Mapping[str, Mapping[str, Any]], helper: Helper | None
    ) -> None:
        self._init = init
        self._name = name
        self._plans = plans
        self._helper = helper
        self._run: judge.Run | None = None
        self._started_ns: int | None = None
        self._tries: dict[str, Try] = {}
        self._reasons: dict[str, str] = {}
        self._changes: list[dict[str, Any]] = []
        self._ready = False
        self._changed = False

    # -- the loop

    def look(self, app: App, now: float) -> None:
        """Follows the app, takes what answers there are, and tries what is due."""
        self._follow(app, now)
        for role, one in list(self._tries.items()):
            self._attend(role, one, app, now)
        if self._run is not None:
            for role in self._run.due(now):
                self._begin(role, app, now)
            if self._run.unfit:
                self._end(app, self._run.unfit)
        if self._changed:
            self._changed = False
            self._write()

    def due_at(self) -> float | None:
        """When there is something to do even if nothing happens (monotonic clock, s)."""
        moments = [one.deadline for one in self._tries.values() if one.deadline is not None]
        if self._run is not None and (at := self._run.due_at()) is not None:
            moments.append(at)
        return min(moments, default=None)

    # -- the app

    def _follow(self, app: App, now: float) -> None:
        runs = app.runs and not app.asked
        if self._run is not None and not (runs and app.started_ns == self._started_ns):
            self._leave()
        if runs and self._run is None:
            self._run = judge.Run(self._plans, now)
            self._started_ns = app.started_ns
            self._reasons = {}
        if self._run is None:
            return
        if app.state == life.PAUSED and not self._run.paused:
            self._run.pause(now)
            self._give_up_all()
        elif app.state == life.RUNNING and self._run.paused:
            self._run.resume(now)

    def _leave(self) -> None:
        """This run of the app is over, or about to be."""
        self._run = None
        self._give_up_all()
        self._note_readiness()
        self._changed = self._changed or bool(self._changes)

    def _end(self, app: App, role: str) -> None:
        """The app is unfit: it is ended, and runs again where its restart policy says so."""
        note(f"app {app.name} is ended: its {role} probe failed: {self._reasons[role]}")
        self._init.course.end_unfit(app, self._plans[role].get("grace_s"))
        self._leave()

    # -- one try

    def _begin(self, role: str, app: App, now: float) -> None:
        assert self._run is not None
        self._run.probes[role].begin(now)
        if role in self._tries:
            self._tries[role].deadline = now + self._plans[role]["timeout_s"]
        else:
            self._try_now(role, app, now)

    def _try_now(self, role: str, app: App, now: float) -> None:
        plan = self._plans[role]
        try:
            self._tries[role] = self._try(app, plan, now + plan["timeout_s"])
        except OSError as error:
            # A connection that is refused says something of the app, a process that cannot be made does not.
            ok = False if plan["kind"] == probing.TCP else None
            self._take(role, ok, trouble(error), now)

    def _try(self, app: App, plan: Mapping[str, Any], deadline: float) -> Try:
        if plan["kind"] == probing.EXEC:
            return Execute(self._init, app, plan, deadline)
        if plan["kind"] == probing.TCP:
            return Connect(self._init, plan, deadline)
        assert self._helper is not None
        return Ask(self._helper, plan, deadline)

    def _attend(self, role: str, one: Try, app: App, now: float) -> None:
        """Takes the answer of a try, or its silence; where a stale one has gone, the next has its place."""
        silent = one.deadline is not None and now >= one.deadline
        if not one.stale:
            if one.answer is None and silent:
                one.answer = False, f"no answer within {self._plans[role]['timeout_s']:g} s"
            if one.answer is not None:
                self._give_up(role, one)
                self._take(role, *one.answer, now)
        elif one.over:
            del self._tries[role]
            if one.deadline is not None:
                self._try_now(role, app, now)
        elif silent:
            one.deadline = None
            self._take(role, False, "what was tried before cannot be ended", now)

    def _give_up(self, role: str, one: Try) -> None:
        """Nobody waits for its answer any more."""
        one.deadline = None
        one.stale = True
        if not one.over:
            one.give_up()
        if one.over:
            del self._tries[role]

    def _give_up_all(self) -> None:
        for role, one in list(self._tries.items()):
            self._give_up(role, one)

    def _take(self, role: str, ok: bool | None, reason: str, now: float) -> None:
        """Judges a result."""
        assert self._run is not None
        probe = self._run.probes[role]
        before = probe.passing, probe.last, self._reasons.get(role)
        self._run.take(role, ok, now)
        if not ok:
            self._reasons[role] = reason[: probing.LONGEST_REASON]
        if probe.passing is False and before[0] is not False:
            self._note_change({"event": probing.FAILED, "probe": role, "reason": self._reasons[role]})
        if before != (probe.passing, probe.last, self._reasons.get(role)):
            self._changed = True
        self._note_readiness()

    # -- telling

    def _note_readiness(self) -> None:
        ready = self._run is not None and self._run.ready
        if ready is not self._ready:
            self._ready = ready
            self._note_change({"event": probing.READY if ready else probing.UNREADY})

    def _note_change(self, change: dict[str, Any]) -> None:
        self._changes = [*self._changes, {"time_ns": time.time_ns(), **change}][-probing.MOST_CHANGES :]
        self._changed = True

    def _write(self) -> None:
        run = self._run
        probes = {}
        for role in self._plans:
            probe = run.probes[role] if run is not None else None
            probes[role] = {
                "passing": None if probe is None else probe.passing,
                "ok": None if probe is None else probe.last,
                "reason": self._reasons.get(role, ""),
            }
        document: dict[str, Any] = {
            "version": probing.NOTE_VERSION,
            "app": self._name,
            "started_ns": self._started_ns,
            "ready": self._ready,
            "started": run is not None and run.started,
            "probes": probes,
            "changes": self._changes,
        }
        try:
            text = (dumps(document) + "\n").encode()
            replace_file(probing.note(self._name), text, dir_fd=self._init.pod)
        except OSError as error:
            note_failure(f"noting the probes of app {self._name}", error)
