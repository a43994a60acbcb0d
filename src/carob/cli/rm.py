"""``carob rm``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option
from carob.cli.uuids import UUID_FILE, for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "rm",
    "remove pods that do not run",
    "UUID…",
    options=(Option("--force", "kill a running pod first", short="-f"), UUID_FILE),
    most=None,
    details="How an ended pod's apps ended can be asked of carob status for a day.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Removes each and prints its uuid."""
    return for_each(arguments, context, lambda handle: handle.remove(force=arguments.has("--force")))
