"""``carob pause``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option
from carob.cli.uuids import UUID_FILE, for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "pause",
    "freeze the apps of pods",
    "UUID…",
    options=(Option("--app", "this app alone", "NAME"), UUID_FILE),
    most=None,
    details="""\
Returns when all their processes stand still. A paused pod can be resumed, stopped, killed and removed.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Does it to each and prints its uuid."""
    app = arguments.text("--app") or None
    return for_each(arguments, context, lambda handle: handle.pause(app=app))
