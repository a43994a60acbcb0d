"""``carob image history``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import size_text, table, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image history",
    "show how an image was made, the last step first",
    "NAME",
    options=(
        Option("--full", "whole commands and digests"),
        Option("--no-legend", "no line of column names"),
        FORMAT,
    ),
    least=1,
    most=1,
)
_SHORT_DIGEST = len("sha256:") + 12
_SHORT_COMMAND = 60


def run(arguments: Arguments, context: Context) -> int:
    """Prints the steps; those that changed no file have no layer."""
    steps = context.engine.images.history(arguments.words[0])[::-1]
    how = arguments.text("--format")
    if how:
        write_json([{slot: getattr(step, slot) for slot in step.__slots__} for step in steps], how)
        return 0
    full = arguments.has("--full")
    rows = []
    for step in steps:
        digest = step.digest if full else step.digest[:_SHORT_DIGEST]
        command = step.created_by if full else _shortened(step.created_by)
        rows.append([digest or "-", size_text(step.size_bytes) if step.digest else "", step.created, command])
    legend = ("LAYER", "SIZE", "CREATED", "BY")
    write(table(legend, rows, with_legend=not arguments.has("--no-legend")))
    return 0


def _shortened(command: str) -> str:
    words = " ".join(command.split())
    return words if len(words) <= _SHORT_COMMAND else words[: _SHORT_COMMAND - 1] + "…"
