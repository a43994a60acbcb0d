"""Processes beside the apps: asked for over the control socket, started by the runtime, children of init.

Who asked is told of the start, with the terminal's master where there is a terminal, and of the end. One that
goes away after the start leaves the process alone; with a terminal the kernel hangs that up (SIGHUP). Init
has its own as well: ``begin``.
"""

from __future__ import annotations

import os
from _signal import SIGKILL, SIGSTOP

from carob.linux.files import read_file, write_all
from carob.protocol import exits
from carob.protocol.compact_json import dumps, loads
from carob.runtime import command
from carob.supervisor import channel as channels
from carob.supervisor import console
from carob.supervisor.beginnings import NEVER_EXECUTED, failure, has_executed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import Any

    from carob.supervisor.apps import App
    from carob.supervisor.control import Control

_SIGNALS = 65
_LARGEST_SIZE = 65535
_LONGEST_WORDS = 8192


class Execution:
    """One process: from the runtime's start to its end. ``client`` asked for it, or ``hear`` is told of it.

    One that is ``unwanted`` by the time it starts is killed. ``master`` is its terminal's, until that is
    handed on; ``awaited`` says that it has not executed its program yet.
    """

    __slots__ = (
        "awaited", "client", "console", "hear", "master", "name", "pid", "runtime_pid", "unwanted",
    )  # fmt: skip

    def __init__(
        self, name: str, client: socket | None, hear: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self.name = name
        self.client = client
        self.hear = hear
        self.unwanted = False
        self.console: socket | None = None
        self.runtime_pid = 0
        self.pid = 0
        self.awaited = False
        self.master: tuple[int, ...] = ()


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
        self._launch(Execution(self._name(), client), app, message, descriptors)

    def begin(
        self, hear: Callable[[dict[str, Any]], None], app: App, argv: list[str], descriptors: list[int]
    ) -> Execution:
        """The same for init itself: ``hear`` is told what a client would be."""
        execution = Execution(self._name(), None, hear)
        self._launch(execution, app, {"argv": argv, "tty": False}, descriptors)
        return execution

    def _name(self) -> str:
        self._count += 1
        return f"/run/exec_{self._count}"  # no app's name has a "_"

    def _launch(
        self, execution: Execution, app: App, message: dict[str, Any], descriptors: list[int]
    ) -> None:
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

    def hung_up(self, client: socket) -> None:
        """Ends the runtime's work for who has gone."""
        for execution in self._under_way:
            if execution.client is client:
                self.abandon(execution)

    def abandon(self, execution: Execution) -> None:
        """Ends the runtime's work for one: the app that it has entered may hold it up for ever."""
        execution.unwanted = True
        if execution.runtime_pid:
            _kill_runtime(execution.name)

    def ended(self, pid: int, status: int) -> bool:
        """Takes the end of a runtime or of an executed process; False where it is neither."""
        for execution in self._under_way:
            if pid == execution.runtime_pid:
                self._started(execution, status)
                return True
            if pid == execution.pid and execution.awaited:
                self._runs(execution, status)
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
            if execution.console is not None:
                execution.master = tuple(console.receive(execution.console))
        except (OSError, ValueError) as error:
            self._failed(execution, *command.left_out(error))
            return
        early = self._control.init.claim_early_end(execution.pid)
        if early is None and not has_executed(execution.pid):
            execution.awaited = True
            self._control.init.beginnings.add(execution.pid, lambda: self._runs(execution, None))
        else:
            self._runs(execution, early)

    def _runs(self, execution: Execution, early: int | None) -> None:
        """The program is executed, or could not be; it may have ended already: ``early``."""
        execution.awaited = False
        if early is not None and early & NEVER_EXECUTED:
            self._failed(execution, *failure(_words(execution.master)))
            return
        self._say(execution, {"event": "started", "pid": execution.pid}, execution.master)
        channels.close_all(list(execution.master))
        execution.master = ()
        if early is not None:
            self._over(execution, early)
        elif execution.unwanted:
            os.kill(execution.pid, SIGKILL)  # whoever asked has gone, and would never know of it

    def _failed(self, execution: Execution, code: int, message: str) -> None:
        self._say(execution, {"event": "failed", "code": code, "message": message})
        self._clean(execution)

    def _over(self, execution: Execution, status: int) -> None:
        end = exits.of_wait_status(status, out_of_memory=False)
        self._say(execution, {"event": "ended", **end})
        self._clean(execution)

    def _say(self, execution: Execution, answer: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        if execution.hear is not None:
            execution.hear(answer)
        elif execution.client is not None:
            self._control.say(execution.client, answer, descriptors)

    def _clean(self, execution: Execution) -> None:
        self._under_way.remove(execution)
        if execution.console is not None:
            execution.console.close()
        channels.close_all(list(execution.master))
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


def _kill_runtime(name: str) -> None:
    """SIGKILL for the runtime at work for an execution: what was started so, and all below that.

    crun's part that enters the app is no child of crun's, but init's.
    """
    for pid in read_file(f"/proc/self/task/{os.getpid()}/children").split():
        try:
            words = read_file(f"/proc/{int(pid)}/cmdline").split(b"\0")
        except OSError:
            continue  # it has just ended
        if f"--process={name}.json".encode() in words:
            kill_all(int(pid))


def kill_all(pid: int) -> None:
    """Kills a child of init's and its descendants, as far as their parents live.

    Each is stopped before its children are looked for, so it makes no more, and reaps none: no number can
    come to mean another process meanwhile.
    """
    found = [pid]
    for one in found:
        try:
            os.kill(one, SIGSTOP)
            for task in os.listdir(f"/proc/{one}/task"):
                found += [int(word) for word in read_file(f"/proc/{one}/task/{task}/children").split()]
        except OSError:
            continue  # it has just ended
    for one in found:
        try:
            os.kill(one, SIGKILL)
        except ProcessLookupError:
            continue


def _words(master: tuple[int, ...]) -> bytes:
    """What the runtime wrote to a terminal that nobody else has had yet."""
    for descriptor in master:
        os.set_blocking(descriptor, False)
        try:
            return os.read(descriptor, _LONGEST_WORDS)
        except OSError:
            break
    return b""


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
