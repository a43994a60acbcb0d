"""``carob image render``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image render",
    "write the file system that an app of the image would see into a directory",
    "NAME DIRECTORY",
    least=2,
    most=2,
    details="The directory is made, or empty. It is a copy: changes to it do not reach the image.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Makes the directory, all or nothing."""
    name, directory = arguments.words
    context.engine.images.extract(name, directory, rootfs_only=True)
    return 0
