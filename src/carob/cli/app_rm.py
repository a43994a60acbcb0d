"""``carob app rm``."""

from __future__ import annotations

from carob.cli.app_words import APP, named
from carob.cli.options import Arguments, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "app rm",
    "remove an app from a mutable pod, with what it wrote",
    "UUID [APP]",
    options=(APP, Option("--force", "kill it first, if it runs")),
    least=1,
    most=2,
)


def run(arguments: Arguments, context: Context) -> int:
    """Removes it."""
    pod, name = named(arguments, context)
    pod.remove_app(name, force=arguments.has("--force"))
    return 0
