"""``carob image tag``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command
from carob.cli.output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image tag",
    "give an image one more name",
    "IMAGE NAME",
    least=2,
    most=2,
    details="Whatever had that name before loses it.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints the new name in normal form."""
    image, name = arguments.words
    write(context.engine.images.tag(image, name).name)
    return 0
