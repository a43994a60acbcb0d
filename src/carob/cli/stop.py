"""``carob stop``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option
from carob.cli.uuids import UUID_FILE, for_each
from carob.cli.values import duration_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.handle import PodHandle

COMMAND = Command(
    "stop",
    "end pods: ask the apps, kill them after the grace",
    "UUID…",
    options=(
        Option("--force", "kill at once"),
        Option("--grace", "time between the stop signal and SIGKILL (default: the pod's)", "DURATION"),
        UUID_FILE,
    ),
    most=None,
    details="Returns when nothing of the pod runs any more. A pod that has ended already is fine.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Stops each and prints its uuid."""
    grace_s = duration_s(arguments.text("--grace"), "--grace") if arguments.has("--grace") else None

    def stop(handle: PodHandle) -> None:
        if arguments.has("--force"):
            handle.kill()
        else:
            handle.stop(grace_s=grace_s)

    return for_each(arguments, context, stop)
