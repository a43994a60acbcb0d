"""``carob image load``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import say, write, write_json
from carob.cli.to_file import input_path
from carob.cli.transfer_progress import INSECURE, PROGRESS, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image load",
    "take in all images of an archive or layout, OCI's or of docker save",
    "PATH",
    options=(INSECURE, PROGRESS, FORMAT),
    least=1,
    most=1,
    details="""PATH may be - for standard input. Prints the names. An image without a name:
carob fetch oci-archive:PATH:@0 --name NAME.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Loads and prints the names."""
    path = input_path(arguments.words[0])
    with shown(arguments, path) as (progress, cancel):
        images = context.engine.images.load(
            path,
            insecure=arguments.text("--insecure-options") or "none",
            progress=progress,
            cancel=cancel,
            warn=say,
        )
    how = arguments.text("--format")
    if how:
        write_json([{"name": image.name, "image_id": image.image_id} for image in images], how)
    else:
        write("\n".join(image.name for image in images))
    return 0
