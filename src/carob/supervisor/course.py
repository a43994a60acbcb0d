"""The course of a pod's life: apps are started, started again, paused and ended as the policy says.

Whatever happens to an app comes here; what follows from it is decided in ``carob.supervisor.policy``. All is
done at once or at a moment that ``due_at`` tells, so that init sleeps in between.
"""

from __future__ import annotations

import os
import time
from _signal import SIGKILL

from carob.linux import freezer
from carob.linux.files import read_file
from carob.protocol import exits, life
from carob.runtime import command
from carob.supervisor import policy
from carob.supervisor.journal import note, note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.supervisor.apps import App
    from carob.supervisor.init import Init

_AGAIN = "it could not be started again: "


class Refused(Exception):
    """The request cannot be met; the text goes back to whoever asked."""


class Course:
    """Of one pod. ``stopping`` is its outcome as soon as it is being ended, ``reason`` why."""

    def __init__(self, init: Init) -> None:
        self._init = init
        self.stopping = ""
        self.reason = ""
        self._stopped_at = 0.0
        self._grace_s: float | None = None

    def _apps(self) -> list[App]:
        return [*self._init.apps.values()]

    def advance(self) -> None:
        """Does what is to be done next, now that something has changed."""
        apps = self._apps()
        if not self.stopping and (found := policy.verdict(apps)):
            self.stop(*found)
        elif self.stopping:
            self._end_next()
        else:
            for one in policy.next_to_start(apps):
                if one.state == life.CREATED:  # one that cannot be started ends the others
                    self._start(self._init.apps[one.name])

    def is_over(self) -> bool:
        """Whether no app runs, or will."""
        return all(app.over and not app.runtime_pid for app in self._apps())

    # -- what happens to an app

    def _start(self, app: App) -> None:
        try:
            app.start(self._init.runtime)
        except OSError as error:
            app.failure = command.FAILED, f"{type(error).__name__}: {error}"
            self._not_started(app)

    def runtime_ended(self, app: App, status: int) -> None:
        """The runtime has made the app, or could not, or has deleted what it had of an earlier run."""
        if app.deleting:
            app.deleted()
            if app.asked and not app.again:
                self._over(app)
            else:
                self._start(app)
            return
        app.claim(status)
        if app.failure is not None:
            self._not_started(app)
            return
        self._init.listen_to(app)
        if app.restarts:
            self._init.recorder.note_life(app)
        if not app.again:
            self._answer(app, {"event": "started", "app": app.name})
        early = self._init.claim_early_end(app.pid)
        self._init.ready_if_all_started()
        if early is not None:
            self.ended(app, early)
            return
        if app.asked and app.kill_at is None:
            self._kill(app)  # the grace was over before the runtime was ready
        elif app.asked:
            self._ask_to_end(app)
        self.advance()

    def _not_started(self, app: App) -> None:
        assert app.failure is not None
        code, message = app.failure
        app.streams.discard()
        note(f"app {app.name}: {message}")
        if app.restarts:
            app.failure = None
            app.end = exits.unknown(_AGAIN + message)
            app.finished_ns = time.time_ns()
            self._over(app)
            return
        app.state = life.ENDED
        self._init.recorder.add(app)
        self._init.tell({"event": "failed", "app": app.name, "code": code, "message": message})
        self.stop("failed to start", f"app {app.name} could not be started: {message}")

    def ended(self, app: App, status: int) -> None:
        """The app's first process has ended, and with it all in its PID namespace."""
        app.reap(status)
        self._init.drain(app)
        self._over(app)

    def _over(self, app: App) -> None:
        """A run of the app is over: it is started again, now or later, or never."""
        app.kill_at = None
        delay_s = self._delay_s(app)
        app.again = False
        if delay_s is None:
            self._give_up(app)
        else:
            app.restarts += 1
            app.state = life.WAITING
            app.start_at = time.monotonic() + delay_s
            self._init.recorder.note_life(app)
        self.advance()

    def _delay_s(self, app: App) -> float | None:
        """The pause before the app is started again; ``None`` where it is not."""
        assert app.end is not None
        if self.stopping or (app.asked and not app.again):
            return None
        if app.again:
            return 0.0
        if not app.restart.wants(app.end, app.role, app.restarts):
            return None
        if app.started_ns and app.finished_ns and app.finished_ns - app.started_ns > policy.GOOD_RUN_S * 1e9:
            app.streak = 0
        app.streak += 1
        return policy.delay_s(app.streak - 1)

    def _give_up(self, app: App) -> None:
        app.state = life.ENDED
        app.start_at = None
        self._init.recorder.add(app)
        self._answer(app, {"event": "refused", "message": f"app {app.name} is being ended"})

    def _answer(self, app: App, answer: dict[str, str]) -> None:
        for client in app.waiters:
            self._init.control.say(client, answer)
        app.waiters.clear()

    # -- ending

    def stop(self, outcome: str, reason: str, *, grace_s: float | None = None) -> None:
        """Asks all apps to end, sidecars after the others, and sees to it after the grace.

        Asked for again it can only make that shorter.
        """
        now = time.monotonic()
        if self.stopping:
            if now + self._default_s(grace_s) < self._stopped_at + self._default_s(self._grace_s):
                self._stopped_at, self._grace_s = now, grace_s
        else:
            self.stopping, self.reason = outcome, reason
            self._stopped_at, self._grace_s = now, grace_s
            self._start_no_more()
        self._end_next()

    def _start_no_more(self) -> None:
        never_started = False
        for app in self._apps():
            if app.state in (life.CREATED, life.WAITING):
                never_started = never_started or app.state == life.CREATED
                self._give_up(app)
        if never_started:
            self._tell_of_early_end()

    def _tell_of_early_end(self) -> None:
        """Who started the pod waits for apps that will never be started."""
        message = {"event": "failed", "message": f"not all of its apps were started: {self.reason}"}
        name = policy.failure(self._apps())
        if not name:
            self._init.tell(message)
            return
        code = exits.rkt_code(self._init.apps[name].end or {"end": exits.UNKNOWN})
        self._init.tell({**message, "ended": name, "code": command.FAILED if code is None else code})

    def _default_s(self, grace_s: float | None) -> float:
        return float(self._init.plan["grace_s"]) if grace_s is None else grace_s

    def _end_next(self) -> None:
        now = time.monotonic()
        for one in policy.to_stop(self._apps()):
            app = self._init.apps[one.name]
            grace_s = self._default_s(app.grace_s if self._grace_s is None else self._grace_s)
            until = self._stopped_at + grace_s
            if app.role == life.SIDECAR:
                until = max(until, now + min(grace_s, life.LAST_GRACE_S))
            self._end(app, until)

    def _end(self, app: App, until: float) -> None:
        """Asks a started app to end, once, and has it killed at a moment, or earlier where that was set."""
        if not app.asked:
            app.asked = True
            app.kill_at = until
            self._ask_to_end(app)
        elif app.kill_at is not None:
            app.kill_at = min(app.kill_at, until)

    def _ask_to_end(self, app: App) -> None:
        if not app.pid:
            return
        number = app.stop_signal
        if policy.signal_would_be_lost(read_file(f"/proc/{app.pid}/status"), number):
            number = SIGKILL
        app.signal(number)
        self.resume(app)

    def _kill(self, app: App) -> None:
        app.signal(SIGKILL)
        self.resume(app)
        if app.runtime_pid:
            os.kill(app.runtime_pid, SIGKILL)

    # -- what is asked for

    def restart(self, app: App, grace_s: float | None) -> None:
        """Ends the app, if it runs, and starts it anew, whatever its policy."""
        if self.stopping:
            raise Refused("the pod is being ended")
        if app.role == life.INIT:
            raise Refused(f"app {app.name} is an init app: it runs once, before the others")
        if app.state == life.CREATED:
            raise Refused(f"app {app.name} has not been started yet")
        if app.over:
            self._init.recorder.retract(app)
            app.restarts += 1
            app.state = life.WAITING
        if app.state == life.WAITING:
            app.start_at = time.monotonic()
            return
        app.again = True
        self._end(app, time.monotonic() + self._default_s(app.grace_s if grace_s is None else grace_s))

    def signal(self, app: App, number: int) -> None:
        """Sends a signal; ``Refused`` where nothing of the app runs."""
        if not app.signal(number):
            raise Refused(f"app {app.name!r} is not running")
        if number == SIGKILL:
            self.resume(app)

    def pause(self, app: App) -> None:
        """Begins to freeze all processes of the app; a paused one is fine."""
        if app.state == life.PAUSED:
            return
        if app.state != life.RUNNING or app.asked:
            raise Refused(f"app {app.name!r} is not running")
        if not app.group:
            raise Refused("a pod without a control group cannot be paused")
        # On v1 what is frozen cannot die: the monitor thaws it should init be killed, if it knows.
        self._init.tell_monitor(b"paused")
        try:
            freezer.freeze(app.group)
        except OSError as error:
            raise Refused(f"app {app.name!r} cannot be paused: {error.strerror}") from error
        app.state = life.PAUSED
        self._init.recorder.note_life(app)

    def resume(self, app: App) -> None:
        """Lets a paused app go on; one that is not paused is fine."""
        if app.state != life.PAUSED:
            return
        try:
            freezer.thaw(app.group)
        except OSError as error:
            note_failure(f"thawing app {app.name}", error)
            return
        app.state = life.RUNNING
        self._init.recorder.note_life(app)

    # -- time

    def due_at(self) -> float | None:
        """When there is something to do even if nothing happens (monotonic clock, s)."""
        moments = [at for app in self._apps() for at in (app.kill_at, app.start_at) if at is not None]
        return min(moments, default=None)

    def act(self, now: float) -> None:
        """Does what is due."""
        for app in self._apps():
            if app.kill_at is not None and now >= app.kill_at:
                app.kill_at = None
                self._kill(app)
            if app.start_at is not None and now >= app.start_at:
                self._start(app)
