"""The control socket: what others may ask of a running pod, answered by its init.

One packet a message, version 1 (``carob.supervisor.channel``). Only the user that runs the pod, and
root, are heard. Requests: ``status``; ``stop`` with ``grace_s``; ``signal`` with ``app`` and ``signal``;
``exec`` with ``app``, ``argv``, ``env``, ``cwd``, ``user``, ``tty`` and three pipe ends (none with ``tty``,
where the answer carries the terminal's master); ``signal-exec`` with ``signal``, for what the same client
executes; ``tie`` with a pidfd, and ``untie``. Each request gets one answer, but an ``exec`` a second one at
its end, and ``signal-exec`` none.
"""

from __future__ import annotations

import os
from _signal import SIGKILL
from _socket import (
    AF_UNIX,
    CMSG_SPACE,
    MSG_CMSG_CLOEXEC,
    SCM_RIGHTS,
    SO_PEERCRED,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)
from stat import S_ISFIFO

from carob.protocol import exits
from carob.protocol import plan as plans
from carob.protocol.compact_json import dumps, loads
from carob.runtime import command
from carob.supervisor import channel as channels
from carob.supervisor.apps import read_file
from carob.supervisor.journal import note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.supervisor.init import Init

_MAX_CONNECTIONS = 256
_LONGEST_GRACE_S = 1e9
_SIGNALS = 65


class Refused(Exception):
    """The request cannot be met; the text goes back to whoever asked."""


class Execution:
    """One process beside the apps: from the runtime's start to its end."""

    __slots__ = ("client", "console", "name", "pid", "runtime_pid", "tty")

    def __init__(self, name: str, client: socket, console: socket | None) -> None:
        self.name = name
        self.client = client
        self.console = console
        self.runtime_pid = 0
        self.pid = 0


class Control:
    """The listening socket, its clients, and the executions under way."""

    def __init__(self, init: Init) -> None:
        self.init = init
        self.executions: list[Execution] = []
        self.clients: dict[int, socket] = {}
        self.listener: socket | None = None
        self.count = 0

    def listen(self) -> None:
        """Opens the socket, for its owner alone; called in init's own root, where the path is short."""
        path = f"{plans.POD_AT}/{plans.CONTROL_SOCKET}"
        listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK)
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(64)
        self.listener = listener
        self.init.watch(listener.fileno(), self._accept)

    def finish(self) -> None:
        """Takes the socket away: the pod is over."""
        try:
            os.unlink(f"{plans.POD_AT}/{plans.CONTROL_SOCKET}")
        except OSError:
            return

    def busy(self) -> bool:
        """Whether the runtime is at work for an execution."""
        return any(one.runtime_pid for one in self.executions)

    # -- clients

    def _accept(self) -> None:
        assert self.listener is not None
        try:
            descriptor, _ = self.listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        client = socket(fileno=descriptor)
        credentials = client.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
        uid = int.from_bytes(credentials[4:8], "little")
        if uid not in (0, os.geteuid()) or len(self.clients) >= _MAX_CONNECTIONS:
            client.close()
            return
        client.setblocking(False)  # one that does not read its answers is hung up on, never waited for
        self.clients[descriptor] = client
        self.init.watch(descriptor, lambda: self._hear(client))

    def _hear(self, client: socket) -> None:
        descriptors: list[int] = []
        try:
            message, descriptors = channels.receive(client)
            if message is None:
                self._hang_up(client)
                return
            answer = self._answer(client, message, descriptors)
        except BlockingIOError:
            return
        except Refused as error:
            answer = {"event": "refused", "message": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever was asked, PID 1 does not die of it
            note_failure("control", error)
            answer = {"event": "refused", "message": f"{type(error).__name__}: {error}"}
        finally:
            channels.close_all(descriptors)
        if answer is not None:
            self._say(client, answer)

    def _say(self, client: socket, answer: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        try:
            channels.send(client, answer, descriptors)
        except OSError:
            self._hang_up(client)

    def _hang_up(self, client: socket) -> None:
        descriptor = client.fileno()
        if descriptor >= 0 and self.clients.pop(descriptor, None) is not None:
            self.init.forget(descriptor)
            client.close()

    # -- requests

    def _answer(
        self, client: socket, message: dict[str, Any], descriptors: list[int]
    ) -> dict[str, Any] | None:
        match message.get("op"):
            case "status":
                return self._status()
            case "stop":
                grace = message.get("grace_s")
                if grace is not None and not 0 <= grace < _LONGEST_GRACE_S:
                    raise Refused(f"{grace!r} is no grace period")
                self.init.stop("stopped", "asked to stop", grace_s=grace)
                return {"event": "stopping"}
            case "signal":
                return self._signal(message)
            case "exec":
                self._exec(client, message, descriptors)
                return None
            case "signal-exec":
                self._signal_execution(client, int(message["signal"]))
                return None
            case "tie":
                return self._tie(descriptors)
            case "untie":
                self.init.untie()
                return {"event": "untied"}
            case other:
                raise Refused(f"this pod's init knows no request {other!r}")

    def _app(self, name: str) -> Any:
        app = self.init.apps.get(name)
        if app is None:
            raise Refused(f"there is no app {name!r} in this pod")
        return app

    def _status(self) -> dict[str, Any]:
        apps = {
            app.name: {"running": bool(app.pid), "started_ns": app.started_ns, "end": app.end}
            for app in self.init.apps.values()
        }
        return {"event": "status", "stopping": self.init.stopping, "apps": apps}

    def _signal(self, message: dict[str, Any]) -> dict[str, Any]:
        if not self._app(message["app"]).signal(int(message["signal"])):
            raise Refused(f"app {message['app']!r} is not running")
        return {"event": "signaled"}

    def _signal_execution(self, client: socket, number: int) -> None:
        """Signals what this client executed; there is no answer but the end that may come of it."""
        for execution in self.executions:
            if execution.client is client and execution.pid and 0 < number < _SIGNALS:
                os.kill(execution.pid, number)

    def _tie(self, descriptors: list[int]) -> dict[str, Any]:
        if len(descriptors) != 1 or not _is_pidfd(descriptors[0]):
            raise Refused("a tie needs one pidfd")
        self.init.tie(descriptors.pop())
        return {"event": "tied"}

    def _exec(self, client: socket, message: dict[str, Any], descriptors: list[int]) -> None:
        app = self._app(message["app"])
        if not app.pid:
            raise Refused(f"app {app.name!r} is not running")
        tty = bool(message["tty"])
        if len(descriptors) != (0 if tty else 3):
            raise Refused("an exec needs three pipes, or a terminal and none")
        if not all(S_ISFIFO(os.fstat(one).st_mode) for one in descriptors):
            raise Refused("only pipes may enter a pod")
        self.count += 1
        name = f"/run/exec_{self.count}"  # no app's name has a "_"
        process = self._process(app, message, tty)
        _write(f"{name}.json", dumps(process))
        console = _console(f"{name}.sock") if tty else None
        execution = Execution(name, client, console)
        argv = command.execute(
            self.init.runtime.name,
            app=app.name,
            process=f"{name}.json",
            pid_file=f"{name}.pid",
            log=f"{name}.log",
            console=f"{name}.sock" if tty else "",
        )
        streams = descriptors
        if tty:
            streams = [os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)] * 3
        try:
            execution.runtime_pid = self.init.runtime.spawn(argv, *streams)
        finally:
            if tty:
                os.close(streams[0])
        self.executions.append(execution)

    def _process(self, app: Any, message: dict[str, Any], tty: bool) -> dict[str, Any]:
        """The app's own process, with what the request changes."""
        process: dict[str, Any] = loads(read_file(f"{app.directory}/config.json"))["process"]
        process["args"] = [str(word) for word in message["argv"]]
        process["terminal"] = tty
        process["env"] = [*process.get("env", []), *(str(one) for one in message.get("env", []))]
        if message.get("cwd"):
            process["cwd"] = str(message["cwd"])
        if message.get("user"):
            process["user"] = message["user"]
        return process

    # -- the ends of executions

    def ended(self, pid: int, status: int) -> bool:
        """Takes the end of a runtime or of an executed process; False where it is neither."""
        for execution in self.executions:
            if pid == execution.runtime_pid:
                self._started(execution, status)
                return True
            if pid == execution.pid:
                self._over(execution, exits.of_wait_status(status, out_of_memory=False))
                return True
        return False

    def _started(self, execution: Execution, status: int) -> None:
        execution.runtime_pid = 0
        if status != 0:
            said = _read_or_empty(f"{execution.name}.log")
            code, message = command.failure(said)
            self._say(execution.client, {"event": "failed", "code": code, "message": message})
            self._clean(execution)
            return
        try:
            execution.pid = int(read_file(f"{execution.name}.pid"))
            master = _receive_master(execution.console) if execution.console is not None else ()
        except (OSError, ValueError) as error:
            message = f"the runtime left something out: {error}"
            self._say(execution.client, {"event": "failed", "code": command.FAILED, "message": message})
            self._clean(execution)
            return
        if execution.client.fileno() < 0:
            os.kill(execution.pid, SIGKILL)  # whoever asked has gone, and would never know of it
        else:
            self._say(execution.client, {"event": "started", "pid": execution.pid}, master)
        channels.close_all(list(master))
        early = self.init.claim_early_end(execution.pid)
        if early is not None:
            self._over(execution, exits.of_wait_status(early, out_of_memory=False))

    def _over(self, execution: Execution, end: dict[str, Any]) -> None:
        self._say(execution.client, {"event": "ended", **end})
        self._clean(execution)

    def _clean(self, execution: Execution) -> None:
        self.executions.remove(execution)
        if execution.console is not None:
            execution.console.close()
        for suffix in ("json", "log", "pid", "sock"):
            try:
                os.unlink(f"{execution.name}.{suffix}")
            except OSError:
                continue


def _is_pidfd(descriptor: int) -> bool:
    return "\nPid:" in read_file(f"/proc/self/fdinfo/{descriptor}")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _read_or_empty(path: str) -> str:
    try:
        return read_file(path)
    except OSError:
        return ""


def _console(path: str) -> socket:
    """The socket on which the runtime hands over the terminal it made."""
    console = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
    console.bind(path)
    console.listen(1)
    return console


def _receive_master(console: socket) -> tuple[int, ...]:
    descriptor, _ = console._accept()  # type: ignore[attr-defined]
    connection = socket(fileno=descriptor)
    try:
        _, ancillary, _, _ = connection.recvmsg(4096, CMSG_SPACE(4), MSG_CMSG_CLOEXEC)
    finally:
        connection.close()
    return tuple(
        int.from_bytes(data[:4], "little")
        for level, kind, data in ancillary
        if level == SOL_SOCKET and kind == SCM_RIGHTS
    )
