"""``carob image push``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import write, write_json
from carob.cli.transfer_progress import INSECURE, PROGRESS, sending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image push",
    "send an image to a registry",
    "NAME [DESTINATION]",
    options=(INSECURE, PROGRESS, FORMAT),
    least=1,
    most=2,
    details="""DESTINATION is docker://HOST/NAME[:TAG]; without it the image goes where its own name says.
What the registry has already is not sent again. Prints HOST/NAME@DIGEST.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Pushes and prints the name with the digest."""
    name, destination = (*arguments.words, "")[:2]
    with sending(arguments, destination or name) as progress:
        pushed = context.engine.images.push(
            name,
            destination,
            insecure=arguments.text("--insecure-options") or "none",
            progress=progress,
        )
    how = arguments.text("--format")
    if how:
        repository, _, digest = pushed.partition("@")
        write_json({"repository": repository, "digest": digest}, how)
    else:
        write(pushed)
    return 0
