"""Talking to a running pod's init through its control socket, from the caller's side."""

from __future__ import annotations

import os
from _socket import AF_UNIX, SO_PEERCRED, SOCK_CLOEXEC, SOCK_SEQPACKET, SOL_SOCKET, socket
from errno import ECONNREFUSED, ENOENT
from time import monotonic, sleep

from carob.errors import AppStartFailed, Conflict, PermissionDenied, Unavailable
from carob.linux.process import state_letter
from carob.protocol import plan as plans
from carob.supervisor import channel as channels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from carob.errors import CarobError
    from carob.linux.idmap import Mapping

_PAUSE_S = 0.002
_ANSWER_S = 10.0
_SLOW_S = 60.0
_TURN_S = 1.0


class Connection:
    """An open control socket; use it in a ``with`` block."""

    def __init__(self, pod_fd: int, uuid: str, timeout_s: float | None) -> None:
        """Connects through the pod's directory, so the length of its path does not matter.

        Raises ``Unavailable`` where no init listens (not up yet, or over).
        """
        self._uuid = uuid
        self._socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
        self._socket.settimeout(timeout_s)
        try:
            _connect(self._socket, f"/proc/self/fd/{pod_fd}/{plans.CONTROL_SOCKET}", timeout_s)
        except OSError as error:
            self._socket.close()
            if error.errno in (ENOENT, ECONNREFUSED):
                raise Unavailable(f"pod {uuid} does not run, or not yet") from error
            raise Unavailable(f"pod {uuid} does not answer: {error.strerror or error}") from error

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; what was asked for goes on."""
        self._socket.close()

    def set_timeout(self, timeout_s: float | None) -> None:
        """How long ``receive`` waits; ``None`` without end."""
        self._socket.settimeout(timeout_s)

    def fileno(self) -> int:
        """The descriptor to poll for the next answer."""
        return self._socket.fileno()

    def send(self, request: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Sends a request; ``Unavailable`` where init is gone, ``PermissionDenied`` for another user's."""
        try:
            channels.send(self._socket, request, descriptors)
        except OSError as error:
            raise self._lost(f"does not answer: {error.strerror or error}") from error

    def receive(self, *, patience_s: float = 0.0) -> tuple[dict[str, Any], list[int]]:
        """The next answer and its descriptors.

        An init that lives is given ``patience_s`` when its time is up: it may wait for its disk. Raises
        ``Conflict`` with init's reason for a refusal, ``Unavailable`` where init ended or is silent, and
        ``PermissionDenied`` where it is another user's.
        """
        given_up_at = monotonic() + patience_s
        while True:
            try:
                answer, descriptors = channels.receive(self._socket)
                break
            except (OSError, ValueError) as error:
                if isinstance(error, TimeoutError) and monotonic() < given_up_at and self._is_alive():
                    continue
                if isinstance(error, ConnectionResetError):
                    raise self._lost("ended meanwhile") from error
                raise Unavailable(f"pod {self._uuid} does not answer: {error}") from error
        if answer is None:
            raise self._lost("ended meanwhile")
        if answer.get("event") == "refused":
            raise Conflict(f"pod {self._uuid} refuses: {answer.get('message')}")
        return answer, descriptors

    def _is_alive(self) -> bool:
        """Whether init may still answer: it has not ended, and nobody has stopped it (SIGSTOP)."""
        return state_letter(self._peer()[0]) not in ("", "T", "Z", "X")

    def _peer(self) -> tuple[int, int]:
        """Init's pid and user."""
        peer = self._socket.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
        return int.from_bytes(peer[:4], "little"), int.from_bytes(peer[4:8], "little")

    def _lost(self, how: str) -> CarobError:
        """Why init has hung up: it does so to other users at once."""
        user = self._peer()[1]
        if user == os.geteuid():
            return Unavailable(f"pod {self._uuid} {how}")
        return PermissionDenied(
            f"pod {self._uuid} is another user's, who has the number {user}", hint="do this as that user"
        )


def _connect(client: socket, path: str, timeout_s: float | None) -> None:
    """connect(2), again while more clients wait to be accepted than the kernel queues (EAGAIN)."""
    deadline = None if timeout_s is None else monotonic() + timeout_s
    while True:
        try:
            client.connect(path)
        except BlockingIOError:
            if deadline is not None and monotonic() >= deadline:
                raise
            sleep(_PAUSE_S)
        else:
            return


def ask(pod_fd: int, uuid: str, request: dict[str, Any], descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
    """One request and its answer.

    An init that ended or was stopped is given up after ten seconds, one that is merely slow after a minute.
    """
    with Connection(pod_fd, uuid, _ANSWER_S) as connection:
        connection.send(request, descriptors)
        answer, received = connection.receive(patience_s=_SLOW_S)
        channels.close_all(received)
        return answer


def listens(pod_fd: int) -> bool:
    """Whether the pod's init has a control socket; it takes that away when the pod is over."""
    try:
        os.stat(plans.CONTROL_SOCKET, dir_fd=pod_fd)
    except OSError:
        return False
    return True


def tie(pod_fd: int, uuid: str) -> None:
    """Ties the pod's life to this process."""
    pidfd = os.pidfd_open(os.getpid())
    try:
        ask(pod_fd, uuid, {"op": "tie"}, (pidfd,))
    finally:
        os.close(pidfd)


def follow(pod_fd: int, uuid: str) -> int:
    """A pipe that becomes readable when there may be more in the pod's logs, from the first moment on.

    Where many come at once it waits for its turn, a second at most. The pipe's end comes with init's, and
    where init takes no more followers. The reading end is the caller's, and does not block. Raises
    ``Unavailable`` where no init listens.
    """
    with Connection(pod_fd, uuid, _TURN_S) as connection:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            connection.send({"op": "follow"}, (writing,))
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
    return reading


def add_app(
    pod_fd: int,
    uuid: str,
    spec: dict[str, Any],
    contents: int | None,
    *,
    path: str,
    log_directory: str,
    owners: Mapping | None = None,
    init: int = 0,
) -> None:
    """Hands an app to a mutable pod's init, and returns when it is created.

    ``spec`` is its part of the plan, which is in the pod's directory, at ``path``, by now; ``contents`` an
    open file with those of its files, ``owners`` are those of a pod of root's that has its own, ``init`` is
    the pid of init where that is in a user namespace. Raises ``AppStartFailed`` with the runtime's reason,
    ``Conflict`` with init's, and ``OSError`` for a mount that cannot be made.
    """
    from carob.supervisor import handing

    with Connection(pod_fd, uuid, _ANSWER_S) as connection:
        mounts = handing.open_mounts(path, spec, log_directory, owners=owners, init=init)
        try:
            for at in range(0, len(mounts), channels.MAX_DESCRIPTORS):
                batch = tuple(mounts[at : at + channels.MAX_DESCRIPTORS])
                connection.send({"op": "hand"}, batch)
        finally:
            channels.close_all(mounts)
        connection.send({"op": "add-app", "app": spec["name"]}, () if contents is None else (contents,))
        answer, _ = connection.receive(patience_s=_SLOW_S)
        check_start(spec["name"], answer)


def start_app(pod_fd: int, uuid: str, app: str) -> None:
    """Starts an app of a mutable pod; returns when it runs. Raises ``AppStartFailed``, ``Conflict``."""
    check_start(app, ask(pod_fd, uuid, {"op": "start-app", "app": app}))


def check_start(app: str, answer: dict[str, Any]) -> None:
    """Raises ``AppStartFailed`` where that is what init answered."""
    if answer.get("event") == "failed":
        raise AppStartFailed(str(answer.get("message")), app=app, code=int(answer["code"]))
