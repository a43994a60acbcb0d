"""Running CNI plugins (SPEC.md, section 2): finding them, one call, and what its outcome means."""

from __future__ import annotations

import errno
import os
import stat

from carob.errors import CommandFailed, CorruptData, PermissionDenied, TimedOut, Unsupported
from carob.network.process import STUCK, TIMED_OUT, Command
from carob.protocol.compact_json import dumps, loads
from carob.spec.cni import request
from carob.spec.cni.depth import is_too_deep
from carob.spec.cni.failure import UNKNOWN_CONTAINER, Failure, error_for, one_line, parse_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from carob.errors import CarobError
    from carob.network.process import Finished
    from carob.network.tasks import Steps

_HINT = "install the plugins (Debian: containernetworking-plugins); carob doctor tells what is there"


class Call:
    """What is the same for all calls about one attachment.

    ``what`` names it in errors, ``descriptors`` are held by plugins (ours, number there), ``limit_s`` is the
    time of one call.
    """

    __slots__ = (
        "arguments",
        "container_id",
        "descriptors",
        "directories",
        "interface",
        "limit_s",
        "namespace",
        "what",
    )

    def __init__(
        self,
        what: str,
        *,
        directories: tuple[str, ...],
        limit_s: float,
        container_id: str = "",
        namespace: str = "",
        interface: str = "",
        arguments: tuple[tuple[str, str], ...] = (),
        descriptors: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.what = what
        self.directories = directories
        self.limit_s = limit_s
        self.container_id = container_id
        self.namespace = namespace
        self.interface = interface
        self.arguments = arguments
        self.descriptors = descriptors


def find(plugin: str, directories: Iterable[str]) -> str:
    """The path of a plugin. Raises ``Unsupported`` where no directory has it."""
    for directory in directories:
        path = f"{directory}/{plugin}"
        try:
            mode = os.stat(path).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and os.access(path, os.X_OK):
            return path
    raise Unsupported(f"no CNI plugin {plugin!r} in {', '.join(directories)}", hint=_HINT)


def run(call: Call, command: str, plugin: str, configuration: dict[str, Any]) -> Steps:
    """Steps of one call; their result is the plugin's answer, parsed, or ``None`` for an empty one.

    Raises ``TimedOut`` for a plugin that hangs, ``CorruptData`` for one whose answer is none, ``Unsupported``
    where it is not there, and for its errors what ``error_for`` says.
    """
    argv = (find(plugin, call.directories),)
    environment = request.environment(
        command,
        plugin_directories=call.directories,
        container_id=call.container_id,
        namespace=call.namespace,
        interface=call.interface,
        arguments=call.arguments,
    )
    what = f"{call.what}: plugin {plugin} ({command})"
    try:
        finished: Finished = yield Command(
            argv,
            environment=environment,
            stdin=dumps(configuration).encode(),
            limit_s=call.limit_s,
            descriptors=call.descriptors,
        )
    except OSError as error:
        raise _not_started(error, what, argv[0]) from error
    if finished.succeeded:
        return _answer(finished, what)
    failure = _failure(finished)
    if command == request.DEL and failure is not None and failure.code == UNKNOWN_CONTAINER:
        return None  # "the runtime does not need to perform any container network cleanup"
    raise _error(finished, failure, what, argv, call.limit_s)


def _answer(finished: Finished, what: str) -> Any:
    if not finished.stdout.strip():
        return None
    try:
        answer = loads(finished.stdout)
    except ValueError as error:
        raise CorruptData(f"{what} answered with something else than JSON: {error}") from error
    if is_too_deep(answer):
        raise CorruptData(f"{what} answered with JSON that is nested too deeply")
    return answer


def _failure(finished: Finished) -> Failure | None:
    try:
        return parse_failure(loads(finished.stdout))
    except ValueError:
        return None


def _error(
    finished: Finished, failure: Failure | None, what: str, argv: tuple[str, ...], limit_s: float
) -> CarobError:
    words = finished.last_words()
    if finished.cut_off == TIMED_OUT:
        return TimedOut(f"{what} did not end within {limit_s:g} s and was killed", hint=_about(words))
    if finished.cut_off == STUCK:
        return TimedOut(f"{what} did not end within {limit_s:g} s and cannot be killed", hint=_about(words))
    if finished.cut_off:
        return CommandFailed(f"{what} {finished.cut_off}", argv=argv, status=finished.status, stderr=words)
    if failure is not None:
        return error_for(failure, what, argv=argv, status=finished.status, stderr=words)
    how = f"signal {-finished.status}" if finished.status < 0 else f"status {finished.status}"
    said = one_line(words) or one_line(finished.stdout[:2000].decode("utf-8", "replace"))
    message = f"{what} ended with {how}" + (f": {said}" if said else " and said nothing")
    return CommandFailed(message, argv=argv, status=finished.status, stderr=words)


def _about(words: str) -> str:
    return f"it said: {one_line(words)}" if words else "look at what it waits for"


def _not_started(error: OSError, what: str, path: str) -> CarobError:
    message = f"{what} cannot be run: {path}: {error.strerror}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(message)
    if error.errno == errno.ENOEXEC:
        return Unsupported(message, hint="it is made for another machine, or is no program")
    return CommandFailed(message, argv=(path,))
