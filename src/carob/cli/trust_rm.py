"""``carob trust rm``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option, UsageError
from carob.cli.output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "trust rm",
    "trust a key no more",
    "FINGERPRINT",
    options=(
        Option("--prefix", "for images of this name, or below it", "NAME"),
        Option("--root", "for every image"),
    ),
    least=1,
    most=1,
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints the files that were removed, or made to take the key away."""
    prefix = arguments.text("--prefix")
    if bool(prefix) is arguments.has("--root"):
        raise UsageError("no longer trusted for what?", hint="either --prefix NAME or --root")
    for path in context.engine.trust.remove(arguments.words[0], prefix=prefix):
        write(path)
    return 0
