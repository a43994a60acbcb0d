"""``carob image import``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option, UsageError
from carob.cli.output import say, write, write_json
from carob.cli.to_file import input_path
from carob.cli.transfer_progress import INSECURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image import",
    "take in a root file system (directory or tar), a layout, an archive, or an ACI",
    "PATH --name NAME",
    options=(Option("--name", "the image's name, with :TAG or as :latest", "NAME"), INSECURE, FORMAT),
    least=1,
    most=1,
    details="""PATH may be - for a root file system's tar on standard input. Prints the image's id. A
name that another image has passes to this one.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Imports and prints the id."""
    name = arguments.text("--name")
    if not name:
        raise UsageError("an image needs a name", hint="such as --name busybox")
    image = context.engine.images.import_path(
        input_path(arguments.words[0]),
        name=name,
        insecure=arguments.text("--insecure-options") or "none",
        warn=say,
    )
    how = arguments.text("--format")
    if how:
        write_json({"name": image.name, "image_id": image.image_id}, how)
    else:
        write(image.image_id)
    return 0
