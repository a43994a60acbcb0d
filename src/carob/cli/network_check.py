"""``carob network check``."""

from __future__ import annotations

from carob.cli.exit_codes import FAILED, SUCCESS
from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "network check",
    "ask the plugins whether a running pod is on its networks as it was put there",
    "UUID",
    options=(FORMAT,),
    least=1,
    most=1,
    details="""\
Prints what is wrong, a line an interface, and the exit status is 125 then. Plugins older than CNI 0.4.0, and
networks with disableCheck, are not asked.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Asks and prints."""
    found = context.engine.get(arguments.words[0]).check_networks()
    how = arguments.text("--format")
    if how:
        write_json({interface: error.message for interface, error in found.items()}, how)
    else:
        write("".join([f"{interface}: {error.message}\n" for interface, error in found.items()]))
    return FAILED if found else SUCCESS
