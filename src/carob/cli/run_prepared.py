"""``carob run-prepared``."""

from __future__ import annotations

from carob.cli import foreground
from carob.cli.input_options import DETACH_KEYS, session_for
from carob.cli.options import Arguments, Command, UsageError
from carob.cli.run import RUNNING, how_to_run, tell_manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.handle import PodHandle
    from carob.engine.launch.supervision import Progress

COMMAND = Command(
    "run-prepared",
    "run a pod that was prepared",
    "UUID",
    options=RUNNING,
    least=1,
    most=1,
    details="Output, signals and exit status are those of carob run.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Runs the pod; see ``carob.cli.exit_codes`` for what is returned."""
    detached, remove, tied = how_to_run(arguments)
    if arguments.text("--sdnotify") in ("app", "container"):
        raise UsageError("a prepared pod's app was not made to reach systemd", hint="--sdnotify=monitor")
    handle = context.engine.get(arguments.words[0])

    def start(progress: Progress) -> PodHandle:
        handle.run(tied=tied, progress=progress)
        tell_manager(arguments, handle)
        return handle

    if detached:
        return foreground.detach(context, start, handle=handle)
    session = session_for(handle.input_modes(), arguments.text(DETACH_KEYS.name))
    return foreground.attend(context, start, remove=remove, handle=handle, session=session)
