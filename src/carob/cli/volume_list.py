"""``carob volume list``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import say, table, time_text, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "volume list",
    "list the named volumes",
    options=(Option("--no-legend", "no line of column names"), FORMAT),
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints the volumes; what is wrong with one is said beside."""
    volumes = context.engine.volumes.list()
    how = arguments.text("--format")
    if how:
        write_json([{slot: getattr(one, slot) for slot in one.__slots__} for one in volumes], how)
        return 0
    rows = []
    for one in volumes:
        labels = ",".join([f"{name}={value}" for name, value in one.labels.items()])
        rows.append([one.name, str(len(one.used_by)), time_text(one.created_ns), labels, one.path])
        if one.problem:
            say(f"volume {one.name}: {one.problem}")
    legend = ("NAME", "PODS", "CREATED", "LABELS", "PATH")
    write(table(legend, rows, with_legend=not arguments.has("--no-legend")))
    return 0
