"""``carob image cat-manifest``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command
from carob.cli.output import write_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image cat-manifest",
    "print an image's manifest, byte for byte",
    "NAME",
    least=1,
    most=1,
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints it as it is: its SHA-256 is the image's id."""
    write_bytes(context.engine.images.cat_manifest(arguments.words[0]))
    return 0
