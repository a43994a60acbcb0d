"""``carob config``."""

from __future__ import annotations

import os

from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import say, table, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "config",
    "show the configuration, and where each value is from",
    options=(FORMAT,),
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints every key."""
    from carob.engine.settings import KEYS

    settings = context.settings
    known = {key.variable for key in KEYS}
    for name in sorted(os.environ):
        if name.startswith("CAROB_") and name not in known:
            say(f"{name} is set, and is no setting of carob's")
    values = {key.name: settings.value(key.name) for key in KEYS} | {"dir": settings.data_dir}
    how = arguments.text("--format")
    if how:
        document = {
            name: {"value": value, "source": settings.sources[name]} for name, value in values.items()
        }
        write_json(document, how)
        return 0
    rows = []
    for name, value in values.items():
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        rows.append([name, shown, settings.sources[name]])
    write(table(("KEY", "VALUE", "SOURCE"), rows))
    return 0
