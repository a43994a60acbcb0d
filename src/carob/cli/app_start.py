"""``carob app start``."""

from __future__ import annotations

from carob.cli.app_words import APP, named
from carob.cli.options import Arguments, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "app start",
    "start an app of a mutable pod, one that was added or has ended",
    "UUID [APP]",
    options=(APP,),
    least=1,
    most=2,
    details="Returns when it runs. One that runs already is fine.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Starts it."""
    pod, name = named(arguments, context)
    pod.start_app(name)
    return 0
