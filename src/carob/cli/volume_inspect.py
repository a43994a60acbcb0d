"""``carob volume inspect``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "volume inspect",
    "show what there is to know of named volumes, as JSON",
    "NAME…",
    options=(FORMAT,),
    least=1,
    most=None,
    details="One object for one volume, a list for several.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints what is known."""
    volumes = [context.engine.volumes.get(name) for name in arguments.words]
    found = [{slot: getattr(one, slot) for slot in one.__slots__} for one in volumes]
    write_json(found[0] if len(found) == 1 else found, arguments.text("--format") or "json-pretty")
    return 0
