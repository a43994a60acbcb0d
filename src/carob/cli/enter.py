"""``carob enter``."""

from __future__ import annotations

import os

from carob.cli.exit_codes import BROKEN_PIPE
from carob.cli.options import Arguments, Command, Option
from carob.cli.values import variable
from carob.engine.observe.ends import shell_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "enter",
    "run a command in an app of a running pod",
    "UUID [COMMAND [ARG…]]",
    options=(
        Option("--app", "in this app (needed where the pod has several)", "NAME"),
        Option(
            "--env",
            "set a variable; NAME alone takes the caller's value",
            "NAME=VALUE",
            short="-e",
            many=True,
        ),
        Option("--workdir", "run in this directory of the app", "PATH", short="-w"),
    ),
    least=1,
    most=None,
    verbatim_after=1,
    details="""\
All after UUID is the command, /bin/sh by default. It gets a terminal where standard input and output here are
one, and pipes otherwise. The exit status is the command's: 128 + n for signal n, 127 where there is no such
program in the app, 126 where it cannot be executed.

With a terminal, keys reach the command as they are, and it gets SIGHUP if this command ends before it.
Without one, SIGINT, SIGTERM and SIGHUP are passed on to it, and a second SIGINT kills it; where this command
is killed itself, it goes on without input and output, until it ends or the pod does.""",
)
DEFAULT = ("/bin/sh",)


def run(arguments: Arguments, context: Context) -> int:
    """Runs the command to its end and returns how it ended."""
    from carob.cli import relay

    handle = context.engine.get(arguments.words[0])
    environment = dict(variable(text, "--env") for text in arguments.texts("--env"))
    tty = os.isatty(0) and os.isatty(1)
    if tty and "TERM" in os.environ:
        environment = {"TERM": os.environ["TERM"], **environment}
    execution = handle.start(
        arguments.words[1:] or DEFAULT,
        app=arguments.text("--app") or None,
        env=environment,
        cwd=arguments.text("--workdir") or None,
        tty=tty,
        size=relay.terminal_size() if tty else None,
    )
    context.debug("started")
    with execution:
        try:
            with relay.Terminal(execution.stdout) if tty else relay.Signals(execution):
                relay.pass_on(execution)
        except BrokenPipeError:
            return BROKEN_PIPE
        except relay.Signaled as signaled:
            return 128 + signaled.number
        return shell_code(execution.wait())
