"""``carob image export``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command
from carob.cli.to_file import OUTPUT, ends_quietly, target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image export",
    "write an image's file system as a tar",
    "NAME",
    options=(OUTPUT,),
    least=1,
    most=1,
    details="carob image save keeps layers and configuration; this is the files alone.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Writes the tar, all or nothing where it is a file."""
    with ends_quietly():
        context.engine.images.export(arguments.words[0], target(arguments))
    return 0
