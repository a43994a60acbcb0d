"""``carob app list``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import table, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "app list",
    "list the apps of a pod",
    "UUID",
    options=(Option("--no-legend", "no line of column names"), FORMAT),
    least=1,
    most=1,
    details="The JSON is an array with all that carob app status tells of each.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints them."""
    from carob.engine.observe.views import app_document

    found = context.engine.get(arguments.words[0]).status().apps
    how = arguments.text("--format")
    if how:
        write_json([app_document(app) for app in found], how)
    else:
        rows = [[app.name, app.image, app.state, str(app.restarts)] for app in found]
        legend = ("NAME", "IMAGE", "STATE", "RESTARTS")
        write(table(legend, rows, with_legend=not arguments.has("--no-legend")))
    return 0
