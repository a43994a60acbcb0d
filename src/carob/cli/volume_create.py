"""``carob volume create``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option
from carob.cli.values import variable
from carob.errors import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "volume create",
    "make a named volume",
    "NAME",
    options=(
        Option("--label", "note this of the volume", "NAME=VALUE", many=True),
        Option("--ignore", "succeed where there is one of this name already"),
    ),
    least=1,
    most=1,
    details="""\
run and prepare make a volume that is not there themselves. At its first use a volume gets what the image has
at the mount's target.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Makes it and prints its name."""
    from carob.cli.output import write

    name = arguments.words[0]
    labels = dict([variable(text, "--label") for text in arguments.texts("--label")])
    try:
        context.engine.volumes.create(name, labels=labels)
    except Conflict:
        if not arguments.has("--ignore"):
            raise
    write(name)
    return 0
