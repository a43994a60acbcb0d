"""``carob image load``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import write, write_json
from carob.cli.transfer_progress import PROGRESS, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image load",
    "take in all images of an archive or layout, OCI's or of docker save",
    "PATH",
    options=(PROGRESS, FORMAT),
    least=1,
    most=1,
    details="Prints the names. An image without a name: carob fetch oci-archive:PATH:@0 --name NAME.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Loads and prints the names."""
    with shown(arguments, arguments.words[0]) as (progress, _):
        images = context.engine.images.load(arguments.words[0], progress=progress)
    how = arguments.text("--format")
    if how:
        write_json([{"name": image.name, "image_id": image.image_id} for image in images], how)
    else:
        write("\n".join(image.name for image in images))
    return 0
