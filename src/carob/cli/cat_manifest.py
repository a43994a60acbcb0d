"""``carob cat-manifest``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option
from carob.cli.output import write_bytes, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "cat-manifest",
    "print the manifest of a pod, as it is on disk",
    "UUID",
    options=(Option("--format", "print it indented", "FORMAT", choices=("json-pretty",)),),
    least=1,
    most=1,
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints it."""
    raw = context.engine.get(arguments.words[0]).manifest()
    how = arguments.text("--format")
    if how:
        from json import loads

        write_json(loads(raw), how)
    else:
        write_bytes(raw if raw.endswith(b"\n") else raw + b"\n")
    return 0
