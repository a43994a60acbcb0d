"""Verbs that do one thing to each of several pods."""

from __future__ import annotations

from carob.cli.exit_codes import FAILED, SUCCESS
from carob.cli.options import Arguments, Option, UsageError
from carob.cli.output import say_error, write
from carob.errors import CarobError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.cli.context import Context
    from carob.engine.handle import PodHandle

UUID_FILE = Option(
    "--uuid-file", "take a uuid from this file (written by --uuid-file-save)", "FILE", many=True
)


def for_each(arguments: Arguments, context: Context, act: Callable[[PodHandle], object]) -> int:
    """Calls ``act`` with each pod named and prints its uuid; one's failure does not stop the rest."""
    uuids = list(arguments.words)
    for path in arguments.texts(UUID_FILE.name):
        from carob.engine.uuid_file import read_uuid_from_file

        uuids.append(read_uuid_from_file(path))
    if not uuids:
        raise UsageError("no pod was named", hint="give a UUID, or --uuid-file")
    status = SUCCESS
    for uuid in uuids:
        try:
            handle = context.engine.get(uuid)
            act(handle)
        except CarobError as error:
            say_error(error)
            status = FAILED
        else:
            write(handle.uuid)
    return status
