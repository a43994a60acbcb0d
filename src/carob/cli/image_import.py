"""``carob image import``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option, UsageError
from carob.cli.output import write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image import",
    "take in an image: a root file system (directory or tar) or an OCI image layout",
    "PATH --name NAME",
    options=(Option("--name", "the image's name, with :TAG or as :latest", "NAME"), FORMAT),
    least=1,
    most=1,
    details="Prints the image's id. A name that another image has passes to this one.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Imports and prints the id."""
    name = arguments.text("--name")
    if not name:
        raise UsageError("an image needs a name", hint="such as --name busybox")
    image = context.engine.images.import_path(arguments.words[0], name=name)
    how = arguments.text("--format")
    if how:
        write_json({"name": image.name, "image_id": image.image_id}, how)
    else:
        write(image.image_id)
    return 0
