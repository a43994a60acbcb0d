"""Starting one more process in a running app.

Init starts it, so it ends with the pod. Only pipes made here, or the pod's side of a terminal made for
the call, go into the pod; what the caller has itself is relayed.
"""

from __future__ import annotations

import os

from carob.engine.request import inputs
from carob.engine.steer.execution import Execution
from carob.errors import CommandFailed, InvalidInput, TimedOut, Unavailable
from carob.supervisor.client import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from carob.pod import Pod

_ANSWER_TIMEOUT_S = 30.0
_NOT_EXECUTABLE = 126
_LONGEST_WORDS = 8192
_MOST_BYTES = 131_000  # init takes 128 KiB a message


def start(
    pod: Pod,
    app: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    user: tuple[int, int] | None = None,
    tty: bool = False,
    size: tuple[int, int] | None = None,
    timeout_s: float | None = None,
) -> Execution:
    """Starts ``argv`` in a running app; returns when it runs. ``size``: the rows and columns of its terminal.

    Raises ``CommandFailed`` (status 127: no such program, 126: not executable, 125: else), ``Conflict``
    where init refuses, ``Unavailable`` where the pod does not run, ``TimedOut`` where it takes longer than
    ``timeout_s``, by default 30 s.
    """
    args = inputs.words(argv, "argv", one="an argument")
    if not args or not args[0]:
        raise InvalidInput("an exec needs a program: argv is empty, or its first word is")
    variables = inputs.environment(env, "env")
    uid, gid = (None, None) if user is None else inputs.accounts(user)
    request: dict[str, Any] = {
        "op": "exec",
        "app": app,
        "argv": list(args),
        "env": [f"{key}={value}" for key, value in variables.items()],
        "cwd": None if cwd is None else inputs.absolute_path(cwd, "a working directory"),
        "user": None if user is None else {"uid": uid, "gid": gid},
        "tty": inputs.flag(tty, "tty"),
    }
    if size is not None:
        if not tty:
            raise InvalidInput("only a terminal has a size", hint="give tty=True with it")
        request["size"] = list(inputs.terminal_size(size))
    if sum(map(len, (*args, *variables, *variables.values()))) > _MOST_BYTES // 8:
        _check_length(request)
    patience_s = _ANSWER_TIMEOUT_S if timeout_s is None else min(timeout_s, _ANSWER_TIMEOUT_S)
    connection = Connection(pod.fd(), str(pod.uuid), patience_s)
    theirs: tuple[int, ...] = ()
    ours = (-1, -1, -1)
    try:
        if not tty:
            ours, theirs = _pipes()
        connection.send(request, theirs)
        _close(theirs)
        theirs = ()
        try:
            answer, received = connection.receive()
        except Unavailable as error:
            if isinstance(error.__cause__, (TimeoutError, BlockingIOError)):
                raise TimedOut(
                    f"{args[0]} was not started in app {app} within {patience_s:g} s",
                    hint="an app can hold up what is started in it, by signals to it for one",
                ) from error.__cause__
            raise
        if answer.get("event") != "started":
            code, message = _failure(answer, ours[2])
            raise CommandFailed(
                f"{args[0]} could not be started in app {app}: {message}", argv=args, status=code
            )
        if tty and not received:
            raise CommandFailed(f"{args[0]} got no terminal in app {app}", argv=args, status=125)
        if tty:
            ours = (received[0], received[0], -1)
        connection.set_timeout(None)
        return Execution(connection, args, ours)
    except BaseException:
        _close(theirs + ours)
        connection.close()
        raise


def _failure(answer: Mapping[str, Any], stderr: int) -> tuple[int, str]:
    """Why it could not be started: of a program that cannot be executed the runtime writes to its output."""
    code, message = int(answer.get("code", 125)), str(answer.get("message"))
    if code == _NOT_EXECUTABLE and stderr >= 0:
        os.set_blocking(stderr, False)
        try:
            said = os.read(stderr, _LONGEST_WORDS)
        except BlockingIOError:
            said = b""
        if said:
            from carob.runtime import command

            found, message = command.failure(said.decode("utf-8", "replace"))
            code = found if found != command.FAILED else code
    return code, message


def _check_length(request: dict[str, Any]) -> None:
    from carob.protocol.compact_json import dumps

    if len(dumps(request)) > _MOST_BYTES:
        raise InvalidInput(
            f"the command and its variables are too long: more than {_MOST_BYTES} bytes as JSON",
            hint="give it much through its input",
        )


def _pipes() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The caller's and the process's ends of stdin, stdout and stderr."""
    made: list[int] = []
    try:
        for _ in range(3):
            made += os.pipe()
    except OSError:
        _close(tuple(made))
        raise
    return (made[1], made[2], made[4]), (made[0], made[3], made[5])


def _close(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)
