"""``carob volume gc``."""

from __future__ import annotations

from carob.cli.exit_codes import FAILED, SUCCESS
from carob.cli.options import FORMAT, Arguments, Command, Option, UsageError
from carob.cli.output import say, write, write_json
from carob.cli.values import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "volume gc",
    "remove what killed processes left of volumes",
    options=(
        Option("--unused", "remove all volumes that no pod uses, too"),
        Option("--label", "with --unused: only volumes with this label", "NAME=VALUE", many=True),
        FORMAT,
    ),
)


def run(arguments: Arguments, context: Context) -> int:
    """Collects and prints the names of what was removed."""
    unused = arguments.has("--unused")
    labels = dict([variable(text, "--label") for text in arguments.texts("--label")])
    if labels and not unused:
        raise UsageError("--label goes with --unused")
    done = context.engine.volumes.gc(unused=unused, labels=labels)
    how = arguments.text("--format")
    if how:
        write_json({"removed": done.removed, "problems": done.problems}, how)
    else:
        write("".join([f"{name}\n" for name in done.removed]))
    for problem in done.problems:
        say(problem)
    return FAILED if done.problems else SUCCESS
