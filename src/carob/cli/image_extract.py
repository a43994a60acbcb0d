"""``carob image extract``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image extract",
    "write an image's manifest, configuration and file system into a directory",
    "NAME DIRECTORY",
    options=(Option("--rootfs-only", "the file system alone, right in the directory"),),
    least=2,
    most=2,
    details="The directory is made, or empty: manifest.json, config.json and rootfs/ are made in it.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Makes the directory, all or nothing."""
    name, directory = arguments.words
    context.engine.images.extract(name, directory, rootfs_only=arguments.has("--rootfs-only"))
    return 0
