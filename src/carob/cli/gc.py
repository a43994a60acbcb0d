"""``carob gc``."""

from __future__ import annotations

from carob.cli.exit_codes import FAILED, SUCCESS
from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import say, write, write_json
from carob.cli.values import duration_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "gc",
    "mark ended pods, and delete those that were marked long enough ago",
    options=(
        Option(
            "--grace-period", "how long an ended pod stays after it was marked (default: 30m)", "DURATION"
        ),
        Option("--expire-prepared", "how long a prepared pod waits to be run (default: 24h)", "DURATION"),
        Option("--mark-only", "delete nothing"),
        FORMAT,
    ),
    details="""\
Prints what was done to each pod: marked, discarded (never run, and not going to be) or deleted. Safe at any
moment. What could not be done is said, and makes the exit status 125; the rest is done all the same.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Collects and prints."""
    periods = {
        option: duration_s(arguments.text(option), option)
        if arguments.has(option)
        else context.settings.seconds(key)
        for option, key in (("--grace-period", "gc.grace_s"), ("--expire-prepared", "gc.expire_prepared_s"))
    }
    done = context.engine.gc(
        grace_s=periods["--grace-period"],
        expire_prepared_s=periods["--expire-prepared"],
        mark_only=arguments.has("--mark-only"),
    )
    steps = {"marked": done.marked, "discarded": done.discarded, "deleted": done.deleted}
    how = arguments.text("--format")
    if how:
        write_json({**steps, "problems": done.problems}, how)
    else:
        write("".join([f"{step} {uuid}\n" for step, uuids in steps.items() for uuid in uuids]))
    for problem in done.problems:
        say(problem)
    return FAILED if done.problems else SUCCESS
