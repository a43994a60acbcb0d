"""``carob image rm``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command
from carob.cli.uuids import each

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
    """Removes each and prints what was given."""

    def remove(name: str) -> str:
        context.engine.images.remove(name)
        return name

    return each(arguments.words, remove)
