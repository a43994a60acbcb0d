"""``carob kill``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option
from carob.cli.uuids import UUID_FILE, for_each
from carob.engine.request.life import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.handle import PodHandle

COMMAND = Command(
    "kill",
    "end pods at once, or send a signal to their apps",
    "UUID…",
    options=(
        Option("--signal", "this signal instead, by name or number", "SIGNAL", short="-s"),
        Option("--app", "to this app alone", "NAME"),
        UUID_FILE,
    ),
    most=None,
    details="""\
Without options the whole pod is killed, and the command returns when nothing of it runs any more. A signal
goes to the first process of each app that runs; what comes of it is up to the app and its restart policy.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Does it to each and prints its uuid."""
    number = signal_number(arguments.text("--signal") or "KILL", "--signal")
    app = arguments.text("--app") or None

    def kill(handle: PodHandle) -> None:
        if app is None and not arguments.has("--signal"):
            handle.kill()
        else:
            handle.signal(number, app=app)

    return for_each(arguments, context, kill)
