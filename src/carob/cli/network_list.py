"""``carob network list``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import say, table, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "network list",
    "list the networks that pods can be put on",
    options=(Option("--no-legend", "no line of column names"), FORMAT),
    details="""\
Those that are configured, in the order of their files, then carob's own. The JSON has each plugin's
configuration, too. What is wrong with a file is said on standard error.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints the networks."""
    found = context.engine.networks(say)
    how = arguments.text("--format")
    if how:
        write_json([{slot: getattr(one, slot) for slot in one.__slots__} for one in found], how)
        return 0
    rows = [[one.name, ",".join(one.plugins), one.source] for one in found]
    legend = ("NAME", "PLUGINS", "CONFIGURED IN")
    write(table(legend, rows, with_legend=not arguments.has("--no-legend")))
    return 0
