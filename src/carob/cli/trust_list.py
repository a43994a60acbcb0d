"""``carob trust list``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import table, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "trust list",
    "list the keys that may sign appc images",
    options=(Option("--no-legend", "no line of column names"), FORMAT),
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints each key with what it is trusted for."""
    keys = context.engine.trust.keys()
    how = arguments.text("--format")
    if how:
        write_json([{slot: getattr(key, slot) for slot in key.__slots__} for key in keys], how)
        return 0
    rows = [
        [
            key.prefix or "(every image)",
            key.fingerprint,
            "taken away" if key.is_disabled else key.problem,
            ", ".join(key.user_ids),
        ]
        for key in keys
    ]
    legend = ("PREFIX", "FINGERPRINT", "PROBLEM", "USER")
    write(table(legend, rows, with_legend=not arguments.has("--no-legend")))
    return 0
