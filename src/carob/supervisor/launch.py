"""Starting a pod's supervisor, from the caller's side.

The monitor is started early, while the caller still prepares the pod or before there is one, and told to go
when all is on disk. Up to that word it holds nothing and simply ends if the caller does.
"""

from __future__ import annotations

import os
from _socket import socket
from errno import EACCES, ENOENT, ENOEXEC
from fcntl import F_DUPFD_CLOEXEC, fcntl

from carob.errors import AppStartFailed, LostRace, TimedOut, Unavailable, Unsupported
from carob.pod.failure import failed
from carob.protocol import plan as plans
from carob.supervisor import channel as channels
from carob.supervisor import interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.errors import CarobError

_CHANNEL = 3
_CALLER = 4
_LOG_TAIL_BYTES = 2000
# All that can be: not SIGKILL and SIGSTOP, nor the two that the C library keeps for itself.
_ALL_SIGNALS_TO_DEFAULT = [number for number in range(1, 65) if number not in (9, 19, 32, 33)]


class Monitor:
    """A monitor that was started and waits for its pod. Use it once; ``close`` it in any case.

    ``words`` is the file in memory that stands for the supervisor's log until there is a pod.
    """

    def __init__(self, pid: int, channel: socket, words: int) -> None:
        self._pid = pid
        self._channel: socket | None = channel
        self._words = words

    def soon(self) -> None:
        """Tells a monitor that was started long ago that the word to go is near."""
        assert self._channel is not None
        try:
            channels.send(self._channel, {"op": "soon"})
        except OSError:
            return  # ``go`` will say it

    def go(
        self,
        *,
        source: str,
        target: str,
        tied_to_caller: bool = False,
        contents: int | None = None,
    ) -> None:
        """Hands over the pod at ``source`` (in ``prepared``), to become ``target`` (in ``run``).

        With ``tied_to_caller`` the monitor ends and removes the pod when this process dies. ``contents`` is
        an open file with those of the pod's files, where it has any (``carob.protocol.contents``).
        """
        assert self._channel is not None
        message = {
            "op": "go",
            "source": source,
            "target": target,
            "contents": contents is not None,
        }
        pidfds = (os.pidfd_open(os.getpid()),) if tied_to_caller else ()
        try:
            channels.send(self._channel, message, pidfds if contents is None else (*pidfds, contents))
        except OSError as error:
            from carob.supervisor import start_failures

            said = self._said(source)
            raise start_failures.of_words("the supervisor ended before it was told to go", said) from error
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
        except (TimeoutError, BlockingIOError):  # the latter where the timeout is rounded to nothing
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
                raise _app_failed(f"app {app} could not be started: {text}", app, code)
            case {"event": "failed", "errno": int(number), "message": str(text)}:
                from carob.supervisor import start_failures

                raise start_failures.of_system_call(f"pod {uuid} could not be started", number, text)
            case {"event": "failed", "kind": str(), "message": str()}:
                from carob.network.messages import error_of

                assert message is not None
                raise error_of(message)
            case {"event": "failed", "ended": str(app), "code": int(code), "message": str(text)}:
                raise AppStartFailed(f"pod {uuid} ended at its start: {text}", app=app, code=code)
            case {"event": "failed", "message": str(text)}:
                raise Unavailable(f"pod {uuid} could not be started: {text}")
            case _:
                said = self._said(target) if os.path.isdir(target) else self._said(source)
                from carob.supervisor import start_failures

                raise start_failures.of_words(f"the supervisor of pod {uuid} ended early", said)

    def _said(self, pod_path: str) -> str:
        return log_tail(pod_path) or _tail(self._words) or "it left no word"

    def fileno(self) -> int:
        """Readable when the supervisor has said something, or has ended."""
        assert self._channel is not None
        return self._channel.fileno()

    def close(self) -> None:
        """Lets go of the monitor: one that was not told to go ends, one that was goes on."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            os.close(self._words)
            self._collect()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def drop(self) -> None:
        """``close`` for what a forked child has of its parent's monitor: there is nothing to collect."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            os.close(self._words)

    def _collect(self) -> None:
        """Reaps the process that was started; it only forks the monitor and ends."""
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            return


def start(
    *,
    network: str,
    runtime: str,
    kind: str = "",
    owners: tuple[str, str] = ("", ""),
    python: str | None = None,
    launcher: tuple[str, ...] = (),
) -> Monitor:
    """Starts a monitor, and by it an init, for a pod with this network and runtime (an absolute path).

    ``kind`` is as in ``carob.supervisor.boot``, empty for most. ``owners`` are the users and groups of a user
    namespace for all of it, ``INSIDE:OUTSIDE:COUNT,...``; none for root's pods. Raises ``Unsupported`` where
    there is no interpreter, ``OutOfResources``, ``Unavailable``.
    """
    argv = [*interpreter.command(python, launcher), network, runtime, kind, *owners]
    opened: list[int] = []
    try:
        words = _out_of_the_way(os.memfd_create("supervisor.log", os.MFD_CLOEXEC))
        opened.append(words)
        caller = _out_of_the_way(os.pidfd_open(os.getpid()))
        opened.append(caller)
        ours, theirs = channels.pair()
    except BaseException as error:
        channels.close_all(opened)
        if isinstance(error, OSError):
            raise failed(error, "cannot start a supervisor") from error
        raise
    # The channel goes first: in a process without standard streams it may stand where they belong.
    actions = [
        (os.POSIX_SPAWN_DUP2, theirs.fileno(), _CHANNEL),
        (os.POSIX_SPAWN_DUP2, caller, _CALLER),
        (os.POSIX_SPAWN_DUP2, words, 1),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
    ]
    try:
        pid = os.posix_spawn(
            argv[0], argv, {"LC_ALL": "C.UTF-8"},
            file_actions=actions, setsigmask=[], setsigdef=_ALL_SIGNALS_TO_DEFAULT, setsid=True,
        )  # fmt: skip
    except BaseException as error:
        ours.close()
        os.close(words)
        if isinstance(error, OSError):
            raise _not_spawned(error, argv[0]) from error
        raise
    finally:
        theirs.close()
        os.close(caller)
    return Monitor(pid, ours, words)


def _app_failed(message: str, app: str, code: int) -> AppStartFailed:
    from carob.supervisor import start_failures

    return AppStartFailed(message, app=app, code=code, hint=start_failures.hint(message))


def _not_spawned(error: OSError, python: str) -> CarobError:
    if error.errno in (ENOENT, EACCES, ENOEXEC):
        return Unsupported(
            f"cannot start a supervisor with {python}: {error.strerror}",
            hint="give another Python of version 3.11 or newer: Engine(python=...), or supervisor.python",
        )
    from carob.supervisor import start_failures

    what = f"cannot start a supervisor with {python}"
    return start_failures.of_system_call(what, error.errno or 0, error.strerror or str(error))


def _out_of_the_way(descriptor: int) -> int:
    """The same with a number that is none of those which a supervisor is given."""
    try:
        return fcntl(descriptor, F_DUPFD_CLOEXEC, _CALLER + 1)
    finally:
        os.close(descriptor)


def log_tail(pod_path: str) -> str:
    """The last lines of a pod's supervisor log, on one line; ``""`` where there are none."""
    try:
        log = os.open(f"{pod_path}/{plans.SUPERVISOR_LOG}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        return _tail(log)
    finally:
        os.close(log)


def _tail(log: int) -> str:
    try:
        size = os.fstat(log).st_size
        raw = os.pread(log, _LOG_TAIL_BYTES, max(0, size - _LOG_TAIL_BYTES))
    except OSError:
        return ""
    lines = raw.decode("utf-8", "replace").splitlines()
    return " | ".join(line.strip() for line in lines[-5:] if line.strip())
