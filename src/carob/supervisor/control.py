"""The control socket: what others may ask of a running pod, answered by its init.

One packet a message, version 1 (``carob.supervisor.channel``). Only the user that runs the pod, and
root, are heard. Requests: ``status``; ``stop`` with ``grace_s``; those of ``carob.supervisor.app_requests``;
``exec`` with ``app``, ``argv``, ``env``, ``cwd``, ``user``, ``tty`` and three pipe ends (none with ``tty``,
where the answer carries the terminal's master, of ``size``, rows and columns); ``signal-exec`` with
``signal``, for what the same client executes; ``tie`` with a pidfd; ``follow`` with a pipe's writing end,
which gets a byte after each write to a log; ``connect`` with ``port`` and ``version``, answered with a socket
(``carob.supervisor.connecting``); those of ``carob.supervisor.adding``. Each request gets one answer, but an
``exec`` a second one at its end, and ``signal-exec`` and ``hand`` none.
"""

from __future__ import annotations

import os
import time
from _socket import (
    AF_UNIX,
    SO_PEERCRED,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOCK_SEQPACKET,
    SOL_SOCKET,
    socket,
)
from fcntl import F_GETFL, fcntl
from stat import S_ISFIFO

from carob.linux.files import read_file
from carob.protocol import life
from carob.protocol import plan as plans
from carob.supervisor import app_requests, connecting, followers
from carob.supervisor import channel as channels
from carob.supervisor.course import Refused
from carob.supervisor.executions import Executions
from carob.supervisor.journal import note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.supervisor.init import Init

_MAX_CONNECTIONS = 256
_MORE_FOR_SHORT_REQUESTS = 32
_PAUSE_S = 0.1


class Control:
    """The listening socket and its clients. ``listen_at`` is when to listen again (s), if it does not."""

    def __init__(self, init: Init) -> None:
        self.init = init
        self.executions = Executions(self)
        self.clients: dict[int, socket] = {}
        self.listener: socket | None = None
        self.listen_at: float | None = None

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

    def listen_when_due(self, now: float) -> None:
        """Listens again after a pause."""
        if self.listener is not None and self.listen_at is not None and now >= self.listen_at:
            self.listen_at = None
            self.init.watch(self.listener.fileno(), self._accept)

    # -- clients

    def _accept(self) -> None:
        assert self.listener is not None
        try:
            descriptor, _ = self.listener._accept()  # type: ignore[attr-defined]
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # No descriptor or no memory left. Who waits stays in the queue, and is no reason to spin.
            self.init.forget(self.listener.fileno())
            self.listen_at = time.monotonic() + _PAUSE_S
            return
        client = socket(fileno=descriptor)
        credentials = client.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
        uid = int.from_bytes(credentials[4:8], "little")
        most = _MAX_CONNECTIONS + _MORE_FOR_SHORT_REQUESTS
        if uid not in (0, os.geteuid()) or len(self.clients) >= most:
            client.close()
            return
        client.setblocking(False)  # one that does not read its answers is hung up on, never waited for
        self.clients[descriptor] = client
        self.init.watch(descriptor, lambda: self._hear(client))

    def _hear(self, client: socket) -> None:
        try:
            message, descriptors = channels.receive(client)
        except BlockingIOError:
            return
        except ValueError as error:
            self.say(client, {"event": "refused", "message": str(error)})
            return
        except OSError:  # it went, with answers unread
            message, descriptors = None, []
        if message is None:
            self._hang_up(client)
            return
        try:
            answer = self._answer(client, message, descriptors)
        except Refused as error:
            answer = {"event": "refused", "message": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever was asked, PID 1 does not die of it
            note_failure("control", error)
            answer = {"event": "refused", "message": _why(error)}
        finally:
            channels.close_all(descriptors)
        if answer is not None:
            self.say(client, answer)

    def say(self, client: socket, answer: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Sends an answer; one that cannot take it is hung up on."""
        try:
            channels.send(client, answer, descriptors)
        except OSError:
            self._hang_up(client)

    def _hang_up(self, client: socket) -> None:
        descriptor = client.fileno()
        if descriptor >= 0 and self.clients.pop(descriptor, None) is not None:
            self.init.forget(descriptor)
            client.close()
            self.executions.hung_up(client)
            if self.init.adding is not None:
                self.init.adding.hung_up(client)

    # -- requests

    def _answer(
        self, client: socket, message: dict[str, Any], descriptors: list[int]
    ) -> dict[str, Any] | None:
        match message.get("op"):
            case "status":
                return self._status()
            case "stop":
                self.init.course.stop("stopped", "asked to stop", grace_s=app_requests.grace_s(message))
                return {"event": "stopping"}
            case "exec":
                self._exec(client, message, descriptors)
                return None
            case "signal-exec":
                self.executions.signal(client, int(message["signal"]))
                return None
            case "tie":
                return self._tie(descriptors)
            case "follow":
                return self._follow(descriptors)
            case "connect":
                self._connect(client, message)
                return None
            case "hand" | "add-app" | "start-app" | "stop-app" | "remove-app" | "reopen-log":
                if self.init.adding is None:
                    raise Refused("its apps were fixed when it was prepared")
                return self.init.adding.answer(client, message, descriptors)
            case _:
                return app_requests.answer(self.init, client, message)

    def _status(self) -> dict[str, Any]:
        apps = {
            app.name: {
                "running": app.runs,
                "state": app.state,
                "restarts": app.restarts,
                "started_ns": app.started_ns,
                "end": app.end,
            }
            for app in self.init.apps.values()
        }
        return {"event": "status", "stopping": self.init.course.stopping, "apps": apps}

    def _tie(self, descriptors: list[int]) -> dict[str, Any]:
        self._check_room()
        if len(descriptors) != 1 or not _is_pidfd(descriptors[0]):
            raise Refused("a tie needs one pidfd")
        self.init.tie(descriptors.pop())
        return {"event": "tied"}

    def _follow(self, descriptors: list[int]) -> dict[str, Any]:
        if len(descriptors) != 1 or not _is_writing_end(descriptors[0]):
            raise Refused("to follow takes the writing end of a pipe")
        if len(self.init.followers) >= followers.MOST:
            raise Refused(f"{followers.MOST} others follow already")
        self.init.followers.add(descriptors.pop())
        return {"event": "following"}

    def _exec(self, client: socket, message: dict[str, Any], descriptors: list[int]) -> None:
        self._check_room()
        app = app_requests.named(self.init, message["app"])
        if app.state != life.RUNNING:
            raise Refused(f"app {app.name!r} is {app.state if app.pid else 'not running'}")
        tty = bool(message["tty"])
        if len(descriptors) != (0 if tty else 3):
            raise Refused("an exec needs three pipes, or a terminal and none")
        if not all(S_ISFIFO(os.fstat(one).st_mode) for one in descriptors):
            raise Refused("only pipes may enter a pod")
        self.executions.start(client, app, message, descriptors)

    def _connect(self, client: socket, message: dict[str, Any]) -> None:
        try:
            begun = connecting.begin(message)
        except OSError as error:
            raise Refused(f"port {message['port']}: {error.strerror}") from error
        try:
            self.say(client, {"event": "connecting"}, (begun.fileno(),))
        finally:
            begun.close()

    def _check_room(self) -> None:
        """The last connections are for what is over soon: a pod can always be stopped."""
        if len(self.clients) > _MAX_CONNECTIONS:
            raise Refused(f"more than {_MAX_CONNECTIONS} clients are connected")


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
    return f"{type(error).__name__}: {error}"


def _is_writing_end(descriptor: int) -> bool:
    return S_ISFIFO(os.fstat(descriptor).st_mode) and fcntl(descriptor, F_GETFL) & os.O_ACCMODE == os.O_WRONLY


def _is_pidfd(descriptor: int) -> bool:
    return b"\nPid:" in read_file(f"/proc/self/fdinfo/{descriptor}")
