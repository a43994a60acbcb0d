"""Starting one more process in a running app.

Init starts it, so it ends with the pod. Only pipes made here, or the pod's side of a terminal made for
the call, go into the pod; what the caller has itself is relayed.
"""

from __future__ import annotations

import os

from carob.engine.request import inputs
from carob.engine.steer.execution import Execution
from carob.errors import CommandFailed, InvalidInput
from carob.supervisor.client import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from carob.pod import Pod

_ANSWER_TIMEOUT_S = 30.0
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
) -> Execution:
    """Starts ``argv`` in a running app; returns when it runs. ``size``: the rows and columns of its terminal.

    Raises ``CommandFailed`` (status 127: no such program, 126: not executable, 125: else), ``Conflict``
    where init refuses, ``Unavailable`` where the pod does not run.
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
    connection = Connection(pod.fd(), str(pod.uuid), _ANSWER_TIMEOUT_S)
    theirs: tuple[int, ...] = ()
    ours = (-1, -1, -1)
    try:
        if not tty:
            ours, theirs = _pipes()
        connection.send(request, theirs)
        _close(theirs)
        theirs = ()
        answer, received = connection.receive()
        if answer.get("event") != "started":
            raise CommandFailed(
                f"{args[0]} could not be started in app {app}: {answer.get('message')}",
                argv=args,
                status=int(answer.get("code", 125)),
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
