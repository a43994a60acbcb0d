"""Starting a pod's supervisor, from the caller's side.

The monitor is started early, while the caller still prepares the pod, and told to go when all is on disk. Up
to that word it holds nothing and simply ends if the caller does.
"""

from __future__ import annotations

import os
from _socket import socket
from fcntl import F_DUPFD_CLOEXEC, fcntl

from carob.errors import AppStartFailed, LostRace, TimedOut, Unavailable
from carob.supervisor import channel as channels
from carob.supervisor import interpreter

_CHANNEL = 3
_CALLER = 4
_LOG_TAIL_BYTES = 2000
# All that can be: not SIGKILL and SIGSTOP, nor the two that the C library keeps for itself.
_ALL_SIGNALS_TO_DEFAULT = [number for number in range(1, 65) if number not in (9, 19, 32, 33)]


class Monitor:
    """A monitor that was started and waits for its pod. Use it once; ``close`` it in any case."""

    def __init__(self, pid: int, channel: socket) -> None:
        self._pid = pid
        self._channel: socket | None = channel

    def go(
        self,
        *,
        source: str,
        target: str,
        tied_to_caller: bool = False,
    ) -> None:
        """Hands over the pod at ``source`` (in ``prepared``), to become ``target`` (in ``run``).

        With ``tied_to_caller`` the monitor ends and removes the pod when this process dies.
        """
        assert self._channel is not None
        message = {
            "op": "go",
            "source": source,
            "target": target,
        }
        pidfds = (os.pidfd_open(os.getpid()),) if tied_to_caller else ()
        try:
            channels.send(self._channel, message, pidfds)
        except OSError as error:
            raise Unavailable(
                f"the supervisor ended before it was told to go: {self._said(source)}"
            ) from error
        finally:
            channels.close_all(list(pidfds))

    def wait_ready(self, source: str, target: str, *, uuid: str, timeout_s: float | None = None) -> None:
        """Returns when all apps run (or already ended); the paths are those given to ``go``.

        Raises ``LostRace`` where another process ran the pod, ``AppStartFailed``, ``Unavailable`` with the
        supervisor's own last words, or ``TimedOut`` (the pod may still come up).
        """
        assert self._channel is not None
        self._channel.settimeout(timeout_s)
        try:
            message, _ = channels.receive(self._channel)
        except TimeoutError:
            raise TimedOut(f"pod {uuid} was not ready after {timeout_s} s") from None
        except ConnectionResetError:
            message = None
        finally:
            self._channel.settimeout(None)
        match message:
            case {"event": "ready"}:
                return
            case {"event": "lost"}:
                raise LostRace(f"pod {uuid} is no longer prepared: another process was quicker")
            case {"event": "failed", "app": str(app), "code": int(code), "message": str(text)}:
                raise AppStartFailed(f"app {app} could not be started: {text}", app=app, code=code)
            case {"event": "failed", "message": str(text)}:
                raise Unavailable(f"pod {uuid} could not be started: {text}")
            case _:
                said = self._said(target) if os.path.isdir(target) else self._said(source)
                raise Unavailable(f"the supervisor of pod {uuid} ended early: {said}")

    def _said(self, pod_path: str) -> str:
        return log_tail(pod_path) or "it left no word"

    def close(self) -> None:
        """Lets go of the monitor: one that was not told to go ends, one that was goes on."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            self._collect()

    def _collect(self) -> None:
        """Reaps the process that was started; it only forks the monitor and ends."""
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            return


def start(
    pod_path: str, *, network: str, runtime: str, python: str | None = None, launcher: tuple[str, ...] = ()
) -> Monitor:
    """Starts a monitor whose last words go to the supervisor log of the pod at ``pod_path``.

    ``network`` and ``runtime`` are those of the pod's plan, which need not be written yet.
    """
    argv = [*interpreter.command(python, launcher), network, runtime]
    ours, theirs = channels.pair()
    caller = _pidfd_of_this_process()
    log = os.path.join(pod_path, "carob", "supervisor.log")
    # The channel goes first: in a process without standard streams it may stand where they belong.
    actions = [
        (os.POSIX_SPAWN_DUP2, theirs.fileno(), _CHANNEL),
        (os.POSIX_SPAWN_DUP2, caller, _CALLER),
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o640),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        pid = os.posix_spawn(
            argv[0], argv, {"LC_ALL": "C.UTF-8"},
            file_actions=actions, setsigmask=[], setsigdef=_ALL_SIGNALS_TO_DEFAULT, setsid=True,
        )  # fmt: skip
    except OSError as error:
        ours.close()
        raise Unavailable(f"the supervisor of {pod_path} could not be started: {error}") from error
    finally:
        theirs.close()
        os.close(caller)
    return Monitor(pid, ours)


def _pidfd_of_this_process() -> int:
    """A pidfd with a number that is none of those which a supervisor is given."""
    pidfd = os.pidfd_open(os.getpid())
    try:
        return fcntl(pidfd, F_DUPFD_CLOEXEC, _CALLER + 1)
    finally:
        os.close(pidfd)


def log_tail(pod_path: str) -> str:
    """The last lines of a pod's supervisor log, on one line; ``""`` where there are none."""
    try:
        with open(os.path.join(pod_path, "carob", "supervisor.log"), "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _LOG_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return " | ".join(line.strip() for line in lines[-5:] if line.strip())
