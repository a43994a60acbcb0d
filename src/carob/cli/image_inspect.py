"""``carob image inspect``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image inspect",
    "show what there is to know of images, as JSON",
    "NAME…",
    options=(FORMAT,),
    least=1,
    most=None,
    details="One object for one image, a list for several.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints what the store knows."""
    found = [context.engine.images.inspect(name) for name in arguments.words]
    write_json(found[0] if len(found) == 1 else found, arguments.text("--format") or "json-pretty")
    return 0
