"""Processes beside the apps: asked for over the control socket, started by the runtime, children of init.

Who asked is told of the start, with the terminal's master where there is a terminal, and of the end. One
that goes away meanwhile leaves the process alone; with a terminal the kernel hangs that up (SIGHUP).
"""

from __future__ import annotations

import os
from _signal import SIGKILL

from carob.linux.files import read_file, write_all
from carob.protocol import exits
from carob.protocol.compact_json import dumps, loads
from carob.runtime import command
from carob.supervisor import channel as channels
from carob.supervisor import console

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from carob.supervisor.apps import App
    from carob.supervisor.control import Control

_SIGNALS = 65
_LARGEST_SIZE = 65535


class Execution:
    """One process: from the runtime's start to its end."""

    __slots__ = ("client", "console", "name", "pid", "runtime_pid")

    def __init__(self, name: str, client: socket) -> None:
        self.name = name
        self.client = client
        self.console: socket | None = None
        self.runtime_pid = 0
        self.pid = 0


class Executions:
    """Those of one pod that are under way."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._under_way: list[Execution] = []
        self._count = 0

    def busy(self) -> bool:
        """Whether the runtime is at work for one."""
        return any(one.runtime_pid for one in self._under_way)

    def start(self, client: socket, app: App, message: dict[str, Any], descriptors: list[int]) -> None:
        """Has the runtime start one in ``app``; ``descriptors`` are pipe ends, none for a terminal."""
        self._count += 1
        execution = Execution(f"/run/exec_{self._count}", client)  # no app's name has a "_"
        self._under_way.append(execution)
        try:
            self._spawn(execution, app, message, descriptors)
        except BaseException:
            self._clean(execution)
            raise

    def _spawn(self, execution: Execution, app: App, message: dict[str, Any], descriptors: list[int]) -> None:
        name, runtime, tty = execution.name, self._control.init.runtime, bool(message["tty"])
        _write(f"{name}.json", dumps(_process(app, message, tty=tty)))
        argv = command.execute(
            runtime.name,
            app=app.name,
            process=f"{name}.json",
            pid_file=f"{name}.pid",
            log=f"{name}.log",
            console=f"{name}.sock" if tty else "",
            cgroups=bool(app.group),
        )
        if not tty:
            execution.runtime_pid = runtime.spawn(argv, *descriptors)
            return
        execution.console = console.listen(f"{name}.sock")
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            execution.runtime_pid = runtime.spawn(argv, null, null, null)
        finally:
            os.close(null)

    def signal(self, client: socket, number: int) -> None:
        """Signals what this client executes; there is no answer but the end that may come of it."""
        for execution in self._under_way:
            if execution.client is client and execution.pid and 0 < number < _SIGNALS:
                os.kill(execution.pid, number)

    def ended(self, pid: int, status: int) -> bool:
        """Takes the end of a runtime or of an executed process; False where it is neither."""
        for execution in self._under_way:
            if pid == execution.runtime_pid:
                self._started(execution, status)
                return True
            if pid == execution.pid:
                self._over(execution, status)
                return True
        return False

    def _started(self, execution: Execution, status: int) -> None:
        execution.runtime_pid = 0
        if status != 0:
            self._failed(execution, *command.failure(_text(f"{execution.name}.log")))
            return
        try:
            execution.pid = int(read_file(f"{execution.name}.pid"))
            master = console.receive(execution.console) if execution.console is not None else ()
        except (OSError, ValueError) as error:
            self._failed(execution, command.FAILED, f"the runtime left something out: {error}")
            return
        early = self._control.init.claim_early_end(execution.pid)
        self._control.say(execution.client, {"event": "started", "pid": execution.pid}, master)
        channels.close_all(list(master))
        if early is not None:
            self._over(execution, early)
        elif execution.client.fileno() < 0:
            os.kill(execution.pid, SIGKILL)  # whoever asked has gone, and would never know of it

    def _failed(self, execution: Execution, code: int, message: str) -> None:
        self._control.say(execution.client, {"event": "failed", "code": code, "message": message})
        self._clean(execution)

    def _over(self, execution: Execution, status: int) -> None:
        end = exits.of_wait_status(status, out_of_memory=False)
        self._control.say(execution.client, {"event": "ended", **end})
        self._clean(execution)

    def _clean(self, execution: Execution) -> None:
        self._under_way.remove(execution)
        if execution.console is not None:
            execution.console.close()
        for suffix in ("json", "log", "pid", "sock"):
            try:
                os.unlink(f"{execution.name}.{suffix}")
            except OSError:
                continue


def _process(app: App, message: dict[str, Any], *, tty: bool) -> dict[str, Any]:
    """The app's own process, with what the request changes."""
    process: dict[str, Any] = loads(read_file(f"{app.directory}/config.json"))["process"]
    process["args"] = [str(word) for word in message["argv"]]
    process["terminal"] = tty
    process["env"] = [*process.get("env", []), *(str(one) for one in message.get("env", []))]
    if message.get("cwd"):
        process["cwd"] = str(message["cwd"])
    if message.get("user"):
        process["user"] = message["user"]
    if tty and message.get("size"):
        rows, columns = (min(max(0, int(one)), _LARGEST_SIZE) for one in message["size"])
        process["consoleSize"] = {"height": rows, "width": columns}
    return process


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _text(path: str) -> str:
    try:
        return read_file(path).decode("utf-8", "replace")
    except OSError:
        return ""
