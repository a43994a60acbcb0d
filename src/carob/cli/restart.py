"""``carob restart``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option
from carob.cli.uuids import UUID_FILE, for_each
from carob.cli.values import duration_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "restart",
    "end the apps of running pods and start them anew",
    "UUID…",
    options=(
        Option("--app", "this app alone", "NAME"),
        Option("--grace", "time between the stop signal and SIGKILL (default: the app's)", "DURATION"),
        UUID_FILE,
    ),
    most=None,
    details="""\
Returns when they run again. Their files stay as they are, and the pod is the same. An app that has ended is
started; init apps are left alone.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Does it to each and prints its uuid."""
    app = arguments.text("--app") or None
    grace_s = duration_s(arguments.text("--grace"), "--grace") if arguments.has("--grace") else None
    return for_each(arguments, context, lambda handle: handle.restart(app=app, grace_s=grace_s))
