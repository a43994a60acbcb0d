"""``carob update``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option, UsageError
from carob.cli.resource_options import RESOURCES, resources
from carob.cli.uuids import UUID_FILE, for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "update",
    "change the limits of running pods or apps",
    "UUID…",
    options=(
        Option("--app", "of this app (default: of the pod as a whole)", "NAME"),
        *RESOURCES,
        UUID_FILE,
    ),
    most=None,
    details="What is not named stays as it is. -1 takes a limit of memory, processes or processor time away.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Updates each and prints its uuid."""
    wanted = resources(Arguments(), arguments)
    if wanted is None:
        raise UsageError("there is nothing to update", hint="such as carob update --memory=1g UUID")
    app = arguments.text("--app") or None
    return for_each(arguments, context, lambda handle: handle.update(wanted, app=app))
