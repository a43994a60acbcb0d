"""``carob doctor``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import printable, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.doctor import Check

COMMAND = Command(
    "doctor",
    "tell what this host can and cannot do for pods, and how to mend it",
    options=(Option("--strict", "end with 1 also where something is lacking"), FORMAT),
    details="""\
ok; lacking: pods run, and something that some ask for cannot be had; failed: no pod runs before this is
mended. The exit status is 1 where anything failed, else 0. It speaks of the user that runs it, and of the
data directory and runtime that are configured.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints what was found."""
    from carob.engine.doctor import FAILED, OK
    from carob.engine.doctor.check import document

    found = context.engine.doctor(runtime=context.settings.text("runtime"))
    if arguments.has("--format"):
        write_json([document(check) for check in found], arguments.text("--format"))
    else:
        write("\n".join(line for check in found for line in _lines(check)))
    bad = [check for check in found if check.verdict == FAILED]
    if arguments.has("--strict"):
        bad += [check for check in found if check.verdict != OK]
    return 1 if bad else 0


def _lines(check: Check) -> list[str]:
    lines = [f"{check.verdict:<9}{check.topic}: {check.name}: {printable(check.found)}"]
    return [*lines, f"         -> {printable(check.mend)}"] if check.mend else lines
