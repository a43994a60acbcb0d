"""``carob image gc``."""

from __future__ import annotations

from carob.cli.exit_codes import FAILED, SUCCESS
from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import say, size_text, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image gc",
    "delete the blobs and layers that no name and no pod uses",
    options=(FORMAT,),
)


def run(arguments: Arguments, context: Context) -> int:
    """Collects and prints how much."""
    done = context.engine.images.gc()
    how = arguments.text("--format")
    if how:
        document = {
            "blobs": done.blobs,
            "layers": done.layers,
            "blob_bytes": done.blob_bytes,
            "problems": list(done.problems),
        }
        write_json(document, how)
    else:
        write(f"{done.blobs} blobs ({size_text(done.blob_bytes)}), {done.layers} layers")
    for problem in done.problems:
        say(problem)
    return FAILED if done.problems else SUCCESS
