"""``carob version``."""

from __future__ import annotations

from carob._version import __version__
from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command("version", "print carob's version", options=(FORMAT,))


def run(arguments: Arguments, context: Context) -> int:
    """Prints it."""
    how = arguments.text("--format")
    if how:
        import sys

        python = ".".join([str(part) for part in sys.version_info[:3]])
        write_json({"version": __version__, "python": python}, how)
    else:
        write(f"carob {__version__}")
    return 0
