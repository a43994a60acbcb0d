"""``carob image list``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import say, size_text, table, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image list",
    "list the images",
    options=(
        Option("--full", "whole image ids"),
        Option("--no-legend", "no line of column names"),
        FORMAT,
    ),
)
_SHORT_ID = len("sha256:") + 12
_TIME = len("2024-11-25T15:30:00.123456789+01:00")


def run(arguments: Arguments, context: Context) -> int:
    """Prints the images; what is wrong with one is said beside."""
    images = context.engine.images.list()
    how = arguments.text("--format")
    if how:
        write_json([{slot: getattr(image, slot) for slot in image.__slots__} for image in images], how)
        return 0
    rows = []
    for image in images:
        shown = image.image_id if arguments.has("--full") else image.image_id[:_SHORT_ID]
        cells = [
            shown,
            size_text(image.size_bytes),
            f"{image.os}/{image.architecture}",
            image.created[:_TIME],
        ]
        rows += [[name, *cells] for name in image.names or ("-",)]
        if image.problem:
            say(f"image {', '.join(image.names) or image.image_id}: {image.problem}")
    legend = ("NAME", "IMAGE ID", "SIZE", "PLATFORM", "CREATED")
    write(table(legend, rows, with_legend=not arguments.has("--no-legend")))
    return 0
