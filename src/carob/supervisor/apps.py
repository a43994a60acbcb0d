"""The apps of one pod, as its init sees them: made by the runtime, logged, reaped, recorded."""

from __future__ import annotations

import os
import time
from _signal import SIGKILL

from carob.linux import cgroup
from carob.linux.files import read_file
from carob.logs.writer import LogWriter
from carob.protocol import exits
from carob.protocol import plan as plans
from carob.runtime import command
from carob.supervisor.journal import note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.supervisor.runtime_program import Runtime

_READ_BYTES = 65536
_MAX_READS = 64


class App:
    """One app: its place in the plan, its processes, and its end (None while it may still run)."""

    __slots__ = (
        "directory", "end", "failure", "finished_ns", "group", "killed_by_us", "log", "name", "outputs",
        "pid", "runtime_pid", "started_ns", "stop_signal",
    )  # fmt: skip

    def __init__(self, spec: dict[str, Any], group: str, pod: int) -> None:
        self.name: str = spec["name"]
        self.stop_signal: int = spec["stop_signal"]
        self.group = f"{group}/{self.name}"
        self.directory = f"{plans.POD_AT}/{plans.bundle_directory(self.name)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self.log = LogWriter(os.open(plans.log_file(self.name), flags, 0o640, dir_fd=pod))
        self.outputs: dict[int, str] = {}
        self.runtime_pid = 0
        self.pid = 0
        self.started_ns: int | None = None
        self.finished_ns: int | None = None
        self.end: dict[str, Any] | None = None
        self.failure: tuple[int, str] | None = None
        self.killed_by_us = False

    @property
    def over(self) -> bool:
        """Whether nothing of this app can run any more."""
        return self.end is not None or self.failure is not None

    def create(self, runtime: Runtime) -> None:
        """Starts the runtime for this app; ``claim`` reads what came of it."""
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(out_read, False)
        os.set_blocking(err_read, False)
        argv = command.run(
            runtime.name,
            app=self.name,
            bundle=self.directory,
            pid_file=f"/run/{self.name}.pid",
            log=f"{self.directory}/runtime.log",
        )
        try:
            self.runtime_pid = runtime.spawn(argv, None, out_write, err_write)
        finally:
            os.close(out_write)
            os.close(err_write)
            self.outputs = {out_read: "stdout", err_read: "stderr"}

    def claim(self, status: int) -> None:
        """Takes up what the runtime made: the app's pid, or the reason that there is none."""
        self.runtime_pid = 0
        if status == 0:
            try:
                self.pid = int(read_file(f"/run/{self.name}.pid"))
                self._mark_start(time.time_ns())
                return
            except (OSError, ValueError) as error:
                self.failure = command.FAILED, f"the runtime wrote no pid: {error}"
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
        try:
            os.symlink(str(now_ns), f"{plans.POD_AT}/{plans.start_mark(self.name)}")
        except OSError as error:  # a full disk: the exit record will tell
            note_failure(f"noting the start of app {self.name}", error)

    def reap(self, status: int) -> None:
        """Notes the end of the app's first process."""
        self.finished_ns = time.time_ns()
        killed = status & 0x7F == 9 and not self.killed_by_us
        self.end = exits.of_wait_status(status, out_of_memory=killed and cgroup.was_out_of_memory(self.group))
        self.pid = 0

    def drain(self, descriptor: int) -> bool:
        """Moves what the app wrote to the log; False once that stream is over."""
        stream = self.outputs[descriptor]
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return True
        if data:
            self.log.feed(stream, data)
            return True
        self.close_output(descriptor)
        return False

    def drain_all(self) -> None:
        """Takes what is left in the pipes and closes them.

        No more than a pipe can hold: another app may have been given the pipe and write on and on.
        """
        for descriptor in list(self.outputs):
            os.set_blocking(descriptor, False)
            for _ in range(_MAX_READS):
                try:
                    data = os.read(descriptor, _READ_BYTES)
                except BlockingIOError:
                    break
                if not data:
                    break
                self.log.feed(self.outputs[descriptor], data)
            if descriptor in self.outputs:
                self.close_output(descriptor)

    def discard_outputs(self) -> None:
        """Closes the pipes unread: of an app that never ran they hold what the runtime's log has as well."""
        for descriptor in self.outputs:
            os.close(descriptor)
        self.outputs = {}

    def close_output(self, descriptor: int) -> None:
        """Ends one stream: its last line is written and its pipe closed."""
        self.log.finish(self.outputs.pop(descriptor))
        os.close(descriptor)

    def signal(self, number: int) -> bool:
        """Sends a signal to the app's first process; False where there is none."""
        if not self.pid:
            return False
        self.killed_by_us = self.killed_by_us or number == SIGKILL
        os.kill(self.pid, number)
        return True
