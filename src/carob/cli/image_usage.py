"""``carob image usage``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import size_text, table, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image usage",
    "show what images take on disk; what several share is counted once in the total",
    options=(Option("--no-legend", "no line of column names"), FORMAT),
)
_TOTALS = ("blob_bytes", "layer_bytes", "temporary_bytes", "quarantine_bytes", "unused_bytes", "total_bytes")


def run(arguments: Arguments, context: Context) -> int:
    """Prints each image with what it has for itself alone, and the totals."""
    usage = context.engine.images.usage()
    how = arguments.text("--format")
    if how:
        images = [{slot: getattr(one, slot) for slot in one.__slots__} for one in usage.images]
        write_json({**{name: getattr(usage, name) for name in _TOTALS}, "images": images}, how)
        return 0
    rows = [
        [", ".join(one.names) or one.image_id, size_text(one.size_bytes), size_text(one.own_bytes)]
        for one in usage.images
    ]
    write(table(("IMAGE", "SIZE", "OWN"), rows, with_legend=not arguments.has("--no-legend")))
    write(
        f"total {size_text(usage.total_bytes)}: blobs {size_text(usage.blob_bytes)}, "
        f"unpacked {size_text(usage.layer_bytes)}, unfinished {size_text(usage.temporary_bytes)}, "
        f"put aside {size_text(usage.quarantine_bytes)}; gc would free {size_text(usage.unused_bytes)}"
    )
    return 0
