"""``carob attach``."""

from __future__ import annotations

import os
import time

from carob.cli import exit_codes, foreground, interaction
from carob.cli.input_options import DEFAULT_KEYS, DETACH_KEYS
from carob.cli.options import Arguments, Command, Option, UsageError
from carob.cli.relay import Signaled
from carob.engine.observe.ends import shell_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.handle import PodHandle

COMMAND = Command(
    "attach",
    "see what an app of a running pod writes, and write to it",
    "UUID",
    options=(
        Option("--app", "to this app (needed where the pod has several)", "NAME"),
        Option("--no-stdin", "only see"),
        DETACH_KEYS,
    ),
    least=1,
    most=1,
    details="""\
What the app writes from now on goes to standard output and standard error. Standard input goes to it where
it was run with --interactive, --tty or --stdin=stream; its end is not the end of the app's. Several may be
attached at once. Where the app has a terminal and standard input here is one, keys reach it as they are, and
those of --detach-keys leave it. This ends with the pod, with the app's exit status, and ends nothing.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Stays attached until the pod is over; returns how the app ended."""
    handle = context.engine.get(arguments.words[0])
    since_ns = time.time_ns()  # before anything is written to the app, whose answer it may be
    modes = handle.input_modes()
    app = arguments.text("--app") or (next(iter(modes)) if len(modes) == 1 else "")
    if app not in modes:
        what = f"has no app {app!r}" if app else "has several apps"
        raise UsageError(f"pod {handle.uuid} {what}", hint=f"--app is one of {', '.join(modes)}")
    if modes[app] == "null" or arguments.has("--no-stdin"):
        _pass_on(handle, app, since_ns)
        return _status(handle, app)
    reader = interaction.Interaction(app, tty=modes[app] == "tty" and os.isatty(0))
    keys = interaction.DetachKeys(arguments.text("--detach-keys") or DEFAULT_KEYS)
    try:
        with interaction.Session(handle, reader, once=False, keys=keys, ends=True):
            _pass_on(handle, app, since_ns)
    except foreground.Detached:
        return exit_codes.SUCCESS
    except Signaled as signaled:
        return 128 + signaled.number
    return _status(handle, app)


def _status(handle: PodHandle, app: str) -> int:
    end = handle.wait().apps[app]
    foreground.say_unknown({app: end})
    return shell_code(end)


def _pass_on(handle: PodHandle, app: str, since_ns: int) -> None:
    for batch in handle.log_batches(app, since_ns=since_ns):
        foreground.pass_on(batch)
