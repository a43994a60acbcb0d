"""Verbs that do one thing to each of several pods or images."""

from __future__ import annotations

from carob.cli.exit_codes import FAILED, SUCCESS
from carob.cli.options import Arguments, Option, UsageError
from carob.cli.output import say_error, write
from carob.errors import CarobError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carob.cli.context import Context
    from carob.engine.handle import PodHandle

UUID_FILE = Option(
    "--uuid-file", "take a uuid from this file (written by --uuid-file-save)", "FILE", many=True
)


def for_each(arguments: Arguments, context: Context, act: Callable[[PodHandle], object]) -> int:
    """Calls ``act`` with each pod named and prints its uuid; one's failure does not stop the rest."""
    uuids = list(arguments.words)
    for path in arguments.texts(UUID_FILE.name):
        from carob.engine.launch.uuid_file import read_uuid_from_file

        uuids.append(read_uuid_from_file(path))
    if not uuids:
        raise UsageError("no pod was named", hint="give a UUID, or --uuid-file")
    return each(uuids, lambda uuid: _act(context.engine.get(uuid), act))


def _act(handle: PodHandle, act: Callable[[PodHandle], object]) -> str:
    act(handle)
    return handle.uuid


def each(names: Sequence[str], act: Callable[[str], str]) -> int:
    """Calls ``act`` with each name and prints what it returns; one's failure does not stop the rest.

    Nor does output that cannot be written: what was asked for is done, and that failure is raised then.
    """
    status, unwritten = SUCCESS, None
    for name in names:
        try:
            done = act(name)
        except CarobError as error:
            say_error(error)
            status = FAILED
            continue
        try:
            if unwritten is None:
                write(done)
        except (BrokenPipeError, CarobError) as error:
            unwritten = error
    if unwritten is not None:
        raise unwritten
    return status
