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

    from carob.supervisor.runtime_program import Runtime


class App:
    """One app: its place in the plan, where it is in its life (``carob.supervisor.policy``), and its end.

    ``end`` is that of its last run, ``failure`` why it could not be started at all; ``asked`` says that its
    end was asked for, ``again`` that it is to be started anew after that. ``kill_at`` and ``start_at`` are
    moments on the monotonic clock (s). ``streak`` counts the restarts since its last good run.
    """

    __slots__ = (
        "again", "asked", "deleting", "directory", "end", "failure", "finished_ns", "grace_s", "group",
        "kill_at", "killed_by_us", "log", "made", "name", "pid", "restart", "restarts", "role", "runtime_pid",
        "start_at", "started_ns", "state", "stop_signal", "streak", "streams", "waiters",
    )  # fmt: skip

    def __init__(
        self, spec: dict[str, Any], group: str, pod: int, log_limits: dict[str, int] | None = None
    ) -> None:
        self.name: str = spec["name"]
        self.role: str = spec.get("role", life.MAIN)
        self.stop_signal: int = spec["stop_signal"]
        self.grace_s: float | None = spec.get("grace_s")
        restart = spec.get("restart") or {}
        self.restart = policy.Restart(restart.get("when", life.NEVER), restart.get("most"))
        self.group = f"{group}/{self.name}" if group else ""
        self.directory = f"{plans.POD_AT}/{plans.bundle_directory(self.name)}"
        self.log = open_writer(plans.log_file(self.name), pod, log_limits)
        self.streams = Streams(spec, self.log)
        self.state = life.CREATED
        self.runtime_pid = 0
        self.deleting = False
        self.made = False
        self.pid = 0
        self.started_ns: int | None = None
        self.finished_ns: int | None = None
        self.end: dict[str, Any] | None = None
        self.failure: tuple[int, str] | None = None
        self.killed_by_us = False
        self.asked = False
        self.again = False
        self.kill_at: float | None = None
        self.start_at: float | None = None
        self.restarts = 0
        self.streak = 0
        self.waiters: list[socket] = []

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
        self.asked = self.again = self.killed_by_us = False
        if self.made:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            log = f"{self.directory}/runtime.log"
            argv = command.delete(runtime.name, app=self.name, log=log, cgroups=bool(self.group))
            try:
                self.runtime_pid = runtime.spawn(argv, None, null, null)
            finally:
                os.close(null)
            self.deleting = True
        else:
            self._create(runtime)

    def deleted(self) -> None:
        """The runtime has deleted what it had of an earlier run. If it could not, the start will fail."""
        self.runtime_pid = 0
        self.deleting = self.made = False

    def _create(self, runtime: Runtime) -> None:
        theirs, console = self.streams.open()
        argv = command.run(
            runtime.name,
            app=self.name,
            bundle=self.directory,
            pid_file=f"/run/{self.name}.pid",
            log=f"{self.directory}/runtime.log",
            console=console,
            cgroups=bool(self.group),
        )
        try:
            self.runtime_pid = runtime.spawn(argv, *theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)

    def claim(self, status: int) -> None:
        """Takes up what the runtime made: the app's pid, or the reason that there is none."""
        self.runtime_pid = 0
        if status == 0:
            self.made = True
            try:
                self.pid = int(read_file(f"/run/{self.name}.pid"))
                self.state = life.RUNNING
                self._mark_start(time.time_ns())
                self.streams.take_terminal()
            except (OSError, ValueError) as error:
                self.failure = command.FAILED, f"the runtime left something out: {error}"
                if self.pid:  # it runs, and nobody would ever see its terminal
                    os.kill(self.pid, SIGKILL)
                    self.pid = 0
            return
        try:
            said = read_file(f"{self.directory}/runtime.log").decode("utf-8", "replace")
        except OSError:
            said = ""
        code, message = command.failure(said)
        if not said and status & 0x7F:
            message = f"the runtime was killed by signal {status & 0x7F}"
        self.failure = code, message

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
