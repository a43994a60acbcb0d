"""The apps of one pod, as its init sees them: made by the runtime, logged, reaped, recorded."""

from __future__ import annotations

import os
import time
from _signal import SIGKILL

from carob.linux import cgroup
from carob.linux.files import read_file
from carob.logs.writer import open_writer
from carob.protocol import exits, life
from carob.protocol import plan as plans
from carob.runtime import command
from carob.supervisor import policy
from carob.supervisor.journal import note_failure
from carob.supervisor.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from carob.logs.writer import LogWriter
    from carob.supervisor.runtime_program import Runtime


CREATE, BEGIN, RUN, DELETE = "create", "begin", "run", "delete"
"""What the runtime is at work on for an app."""


class App:
    """One app: its place in the plan, where it is in its life (``carob.supervisor.policy``), and its end.

    An app of a mutable pod is created first, and has a process (``pid``) from then on, and begun later; one
    that is started anew, or is of an immutable pod, is run at once. ``doing`` is what the runtime is at work
    on.

    ``end`` is that of its last run, ``failure`` why it could not be started at all; ``asked`` says that its
    end was asked for, ``again`` that it is to be started anew after that, ``unfit`` that it was its probes
    that asked. ``kill_at`` and ``start_at`` are moments on the monotonic clock (s). ``streak`` counts the
    restarts since its last good run. ``waiters`` wait for its start, ``mourners`` for its end, ``removers``
    for its being gone from this pod.
    """

    __slots__ = (
        "again", "asked", "directory", "doing", "early_status", "end", "failure", "finished_ns", "grace_s",
        "group", "kill_at", "killed_by_us", "log", "made", "mourners", "name", "pid", "removers", "restart",
        "restarts", "role", "runtime_pid", "spec", "start_at", "started_ns", "state", "stop_signal", "streak",
        "streams", "unfit", "waiters",
    )  # fmt: skip

    def __init__(
        self, spec: dict[str, Any], group: str, pod: int, log_limits: dict[str, int] | None = None
    ) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.role: str = spec.get("role", life.MAIN)
        self.stop_signal: int = spec["stop_signal"]
        self.grace_s: float | None = spec.get("grace_s")
        restart = spec.get("restart") or {}
        self.restart = policy.Restart(restart.get("when", life.NEVER), restart.get("most"))
        self.group = f"{group}/{self.name}" if group else ""
        self.directory = f"{plans.POD_AT}/{plans.bundle_directory(self.name)}"
        self.log = _open_log(spec, pod, log_limits)
        self.streams = Streams(spec, self.log)
        self.state = life.CREATED
        self.runtime_pid = 0
        self.doing = ""
        self.made = False
        self.early_status: int | None = None
        self.pid = 0
        self.started_ns: int | None = None
        self.finished_ns: int | None = None
        self.end: dict[str, Any] | None = None
        self.failure: tuple[int, str] | None = None
        self.killed_by_us = False
        self.asked = False
        self.again = False
        self.unfit = False
        self.kill_at: float | None = None
        self.start_at: float | None = None
        self.restarts = 0
        self.streak = 0
        self.waiters: list[socket] = []
        self.mourners: list[socket] = []
        self.removers: list[socket] = []

    @property
    def runs(self) -> bool:
        """Whether its own program runs, or is paused."""
        return bool(self.pid) and self.state in (life.RUNNING, life.PAUSED)

    @property
    def over(self) -> bool:
        """Whether nothing of this app can run any more, unless somebody asks for it."""
        return self.state == life.ENDED

    def start(self, runtime: Runtime) -> None:
        """Starts the runtime for this app; ``claim`` reads what came of it.

        What the runtime has of an earlier run is deleted first, which ends with ``deleted``.
        """
        self.state = life.STARTING
        self.start_at = self.kill_at = None
        self.asked = self.again = self.killed_by_us = self.unfit = False
        if self.made:
            self.delete(runtime)
        else:
            self._make(runtime, RUN)

    def create(self, runtime: Runtime) -> None:
        """Has the runtime make all of the app but its program's start; ``claim`` reads what came of it."""
        self.state = life.STARTING
        self._make(runtime, CREATE)

    def begin(self, runtime: Runtime) -> None:
        """Has the runtime start the program of an app that was created; ``begun`` reads what came of it."""
        log = f"{self.directory}/runtime.log"
        self._spawn(runtime, command.start(runtime.name, app=self.name, log=log, cgroups=bool(self.group)))
        self.state = life.STARTING
        self.doing = BEGIN

    def delete(self, runtime: Runtime) -> None:
        """Has the runtime delete what it has of an earlier run, which ends with ``deleted``."""
        log = f"{self.directory}/runtime.log"
        self._spawn(runtime, command.delete(runtime.name, app=self.name, log=log, cgroups=bool(self.group)))
        self.doing = DELETE

    def deleted(self) -> None:
        """The runtime has deleted what it had of an earlier run. If it could not, the start will fail."""
        self.runtime_pid = 0
        self.doing = ""
        self.made = False

    def _spawn(self, runtime: Runtime, argv: list[str]) -> None:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            self.runtime_pid = runtime.spawn(argv, None, null, null)
        finally:
            os.close(null)

    def _make(self, runtime: Runtime, doing: str) -> None:
        theirs, console = self.streams.open()
        argv = command.run(
            runtime.name,
            app=self.name,
            bundle=self.directory,
            pid_file=f"/run/{self.name}.pid",
            log=f"{self.directory}/runtime.log",
            console=console,
            cgroups=bool(self.group),
            create_only=doing == CREATE,
        )
        try:
            self.runtime_pid = runtime.spawn(argv, *theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self.doing = doing

    def claim(self, status: int) -> None:
        """Takes up what the runtime made: the app's pid, or the reason that there is none."""
        self.runtime_pid = 0
        doing, self.doing = self.doing, ""
        if status == 0:
            self.made = True
            try:
                self.pid = int(read_file(f"/run/{self.name}.pid"))
                if doing == CREATE:
                    self.state = life.CREATED
                self.streams.take_terminal()
            except (OSError, ValueError) as error:
                self.failure = command.left_out(error)
                if self.pid:  # it runs, and nobody would ever see its terminal
                    os.kill(self.pid, SIGKILL)
                    self.pid = 0
            return
        self.failure = self._failure(status)

    def begun(self, status: int) -> None:
        """The runtime has had the app's program begin, or could not: ``failure``."""
        self.runtime_pid = 0
        self.doing = ""
        if status != 0:
            self.failure = self._failure(status)

    def runs_from_now(self) -> None:
        """Its program is executed."""
        self.state = life.RUNNING
        self._mark_start(time.time_ns())

    def _failure(self, status: int) -> tuple[int, str]:
        try:
            said = read_file(f"{self.directory}/runtime.log").decode("utf-8", "replace")
        except OSError:
            said = ""
        code, message = command.failure(said)
        if not said and status & 0x7F:
            killed = f"the runtime was killed by signal {status & 0x7F}"
            message = "it was to end before that" if self.asked else killed
        return code, message

    def _mark_start(self, now_ns: int) -> None:
        self.started_ns = now_ns
        if self.restarts:
            return  # what is noted of restarts has the time (``carob.supervisor.recording``)
        try:
            os.symlink(str(now_ns), f"{plans.POD_AT}/{plans.start_mark(self.name)}")
        except OSError as error:  # a full disk: the exit record will tell
            note_failure(f"noting the start of app {self.name}", error)

    def reap(self, status: int) -> None:
        """Notes the end of the app's first process."""
        self.finished_ns = time.time_ns()
        killed = status & 0x7F == 9 and not self.killed_by_us
        self.end = exits.of_wait_status(status, out_of_memory=killed and self._ran_out_of_memory())
        self.pid = 0

    def _ran_out_of_memory(self) -> bool:
        return bool(self.group) and cgroup.was_out_of_memory(self.group)

    def signal(self, number: int) -> bool:
        """Sends a signal to the app's first process; False where there is none."""
        if not self.pid:
            return False
        self.killed_by_us = self.killed_by_us or number == SIGKILL
        os.kill(self.pid, number)
        return True

    def reopen_log(self, pod: int, log_limits: dict[str, int] | None) -> None:
        """Goes on in the file that has the log's name now: somebody has put the other aside."""
        fresh = _open_log(self.spec, pod, log_limits)
        os.close(self.log.fd)
        self.log = self.streams.log = fresh


def _open_log(spec: dict[str, Any], pod: int, log_limits: dict[str, int] | None) -> LogWriter:
    """The app's log in the pod's directory, or where whoever added the app has it, and sees to its size."""
    if "log" in spec:
        try:
            return open_writer(f"{plans.LOGS_AT}/{spec['name']}/{spec['log']}", pod, None)
        except OSError as error:  # its path here says nothing to who asks
            raise OSError(error.errno, f"{error.strerror}: its log, {spec['log']}") from error
    return open_writer(plans.log_file(spec["name"]), pod, log_limits)
