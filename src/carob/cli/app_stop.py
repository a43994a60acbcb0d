"""``carob app stop``."""

from __future__ import annotations

from carob.cli.app_words import APP, named
from carob.cli.options import Arguments, Command, Option
from carob.cli.values import duration_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "app stop",
    "end an app of a mutable pod: ask it, kill it after the grace",
    "UUID [APP]",
    options=(
        APP,
        Option("--grace", "time between the stop signal and SIGKILL (default: the app's)", "DURATION"),
    ),
    least=1,
    most=2,
    details="Returns when it has ended; one that does not run is fine. It can be started again.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Stops it."""
    grace_s = duration_s(arguments.text("--grace"), "--grace") if arguments.has("--grace") else None
    pod, name = named(arguments, context)
    pod.stop_app(name, grace_s=grace_s)
    return 0
