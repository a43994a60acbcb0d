"""``carob image rm``."""

from __future__ import annotations

from carob.cli.exit_codes import FAILED, SUCCESS
from carob.cli.options import Arguments, Command
from carob.cli.output import say_error, write
from carob.errors import CarobError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image rm",
    "take away names of images, or an image with all its names by its id",
    "NAME…",
    least=1,
    most=None,
    details="Refused where a pod uses what would go. The bytes go with the next carob image gc.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Removes each and prints what was given; one's failure does not stop the rest."""
    status = SUCCESS
    for name in arguments.words:
        try:
            context.engine.images.remove(name)
        except CarobError as error:
            say_error(error)
            status = FAILED
        else:
            write(name)
    return status
