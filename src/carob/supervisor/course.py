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
from carob.supervisor import apps as steps
from carob.supervisor import policy
from carob.supervisor.beginnings import NEVER_EXECUTED, failure, has_executed
from carob.supervisor.journal import note, note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.supervisor.apps import App
    from carob.supervisor.init import Init


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
        if self.stopping:
            self._end_next()
        elif self._init.adding is not None:
            return  # its apps are started, and it is ended, when somebody says so
        elif found := policy.verdict(apps):
            self.stop(*found)
        else:
            for one in policy.next_to_start(apps):
                if one.state == life.CREATED:  # one that cannot be started ends the others
                    self._start(self._init.apps[one.name])

    def is_over(self) -> bool:
        """Whether no app runs, or will."""
        if self._init.adding is not None and not self.stopping:
            return False
        return all(app.over and not app.runtime_pid for app in self._apps())

    # -- what happens to an app

    def _start(self, app: App) -> None:
        try:
            if self._init.adding is not None:
                self._init.adding.make_way(app)
            app.start(self._init.runtime)
        except OSError as error:
            app.failure = command.FAILED, error.strerror or str(error)
            self._not_started(app)

    def runtime_ended(self, app: App, status: int) -> None:
        """The runtime has done for the app what it was to do, or could not."""
        if app.removers:
            assert self._init.adding is not None
            self._init.adding.go_on_removing(app, status)
            return
        if app.doing == steps.CREATE:
            assert self._init.adding is not None
            self._init.adding.created(app, status)
            return
        if app.doing == steps.BEGIN:
            self._begun(app, status)
            return
        if app.doing == steps.DELETE:
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
        self._await_program(app, self._init.claim_early_end(app.pid))

    def _begun(self, app: App, status: int) -> None:
        app.begun(status)
        early, app.early_status = app.early_status, None
        if app.failure is None:
            self._await_program(app, early)
            return
        if app.pid and early is None:
            os.kill(app.pid, SIGKILL)  # it would wait for ever
        app.pid = 0
        self._not_started(app)

    def _await_program(self, app: App, early: int | None) -> None:
        """The runtime is done. The app may not be its program yet, or has ended already: ``early``."""
        if early is None and not has_executed(app.pid):
            self._init.beginnings.add(app.pid, lambda: self._runs(app, None))
        else:
            self._runs(app, early)

    def _runs(self, app: App, early: int | None) -> None:
        """The app runs, or has ended already: ``early``."""
        if early is not None and early & NEVER_EXECUTED:
            app.pid = 0
            app.failure = failure(app.streams.words())
            self._not_started(app)
            return
        app.runs_from_now()
        self._init.listen_to(app)
        if app.restarts:
            self._init.recorder.note_life(app)
        if not app.again:
            self._answer(app, {"event": "started", "app": app.name})
        if self._init.adding is not None:
            self._init.adding.mark_start(app)
        self._init.ready_if_all_started()
        if early is not None:
            self.ended(app, early)
            return
        if app.asked and app.kill_at is None:
            self.kill(app)  # the grace was over before the runtime was ready
        elif app.asked:
            self._ask_to_end(app)
        self.advance()

    def _not_started(self, app: App) -> None:
        assert app.failure is not None
        code, message = app.failure
        app.streams.discard()
        note(f"app {app.name}: {message}")
        told = {"event": "failed", "app": app.name, "code": code, "message": message}
        if app.restarts or self._init.adding is not None:
            if self._init.adding is not None and not app.again:
                self._answer(app, told)
            app.failure = None
            again = " again" if app.restarts else ""
            app.end = exits.unknown(f"it could not be started{again}: {message}")
            app.finished_ns = time.time_ns()
            self._over(app)
            return
        app.state = life.ENDED
        self._init.recorder.add(app)
        if self.stopping:
            self._tell_of_early_end()  # which is why the runtime was cut off
        self._init.tell(told)
        self.stop("failed to start", f"app {app.name} could not be started: {message}")

    def ended(self, app: App, status: int) -> None:
        """The app's first process has ended, and with it all in its PID namespace."""
        if app.doing == steps.BEGIN:
            app.early_status = status  # the runtime is about to say whether it ever began
            app.pid = 0
            return
        if app.state == life.STARTING and not app.removers:
            self._runs(app, status)
            return
        app.reap(status)
        if app.group and "pid_of" in app.spec:
            freezer.kill_all(app.group)  # where it has no such namespace of its own
        self._init.drain(app)
        if app.removers:
            assert self._init.adding is not None
            self._init.adding.go_on_removing(app)
        else:
            self._over(app)

    def _over(self, app: App) -> None:
        """A run of the app is over: it is started again, now or later, or never."""
        app.kill_at = None
        app.asked = app.asked and not app.unfit
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
        if self.stopping or (app.asked and not app.again) or app.started_ns is None:
            return None
        if app.again:
            return 0.0
        if not app.restart.wants(app.end, app.role, app.restarts, unfit=app.unfit):
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
        if app.pid:  # it was created, and never begun
            os.kill(app.pid, SIGKILL)
            app.pid = 0

    def _answer(self, app: App, answer: dict[str, Any]) -> None:
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
        if never_started or not self._apps():
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

    def end(self, app: App, grace_s: float | None) -> None:
        """Asks an app of a mutable pod to end, and has it killed after the grace, without one at once.

        One that does not run is fine.
        """
        if app.state == life.WAITING:
            self._give_up(app)
        elif app.over or app.state == life.CREATED:
            return
        elif grace_s == 0:
            app.unfit, app.again, app.asked, app.kill_at = False, False, True, None
            if not app.runtime_pid:  # else it is killed as soon as it runs
                self.kill(app)
        else:
            app.unfit = app.again = False
            self._end(app, time.monotonic() + self._default_s(app.grace_s if grace_s is None else grace_s))

    def end_unfit(self, app: App, grace_s: float | None) -> None:
        """Ends an app whose probes say that it does not live; what then is for its restart policy to say."""
        app.unfit = not app.asked
        self._end(app, time.monotonic() + self._default_s(app.grace_s if grace_s is None else grace_s))

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

    def kill(self, app: App) -> None:
        """Ends the app's first process at once; a runtime that is at work for it, too."""
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
        if self.start_anew(app):
            return
        if app.asked and not app.again and not app.unfit:
            raise Refused(f"app {app.name} is being ended")
        app.again = True
        self._end(app, time.monotonic() + self._default_s(app.grace_s if grace_s is None else grace_s))

    def start_anew(self, app: App) -> bool:
        """Has an app that has ended, or is about to be started again, started now; False for another."""
        if app.over:
            self._init.recorder.retract(app)
            if self._init.adding is not None:
                self._init.adding.mourn_no_more(app)
            app.restarts += 1
            app.state = life.WAITING
        if app.state != life.WAITING:
            return False
        app.start_at = time.monotonic()
        return True

    def signal(self, app: App, number: int) -> None:
        """Sends a signal; ``Refused`` where nothing of the app runs."""
        if not app.runs or not app.signal(number):
            raise Refused(f"app {app.name!r} is not running")
        if number == SIGKILL:
            self.resume(app)

    def pause(self, app: App) -> None:
        """Begins to freeze all processes of the app; a paused one is fine."""
        if app.state == life.PAUSED:
            return
        if app.asked and app.state == life.RUNNING:
            raise Refused(f"app {app.name!r} is being {'restarted' if app.again else 'ended'}")
        if app.state != life.RUNNING:
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
                self.kill(app)
            if app.start_at is not None and now >= app.start_at:
                self._start(app)
