"""``carob timeline``."""

from __future__ import annotations

from carob.cli.events import show
from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "timeline",
    "tell what has happened to one pod, from its beginning",
    "UUID",
    options=(FORMAT,),
    least=1,
    most=1,
    details="""\
When it was prepared and started, when each app started and ended and how, when the pod ended, and when it
was removed; a pod that is gone is told of for a day, by its whole uuid. The JSON is an array of the objects
of carob events.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints it."""
    from carob.engine.observe.events import document

    found = [document(event) for event in context.engine.get(arguments.words[0]).timeline()]
    if arguments.has("--format"):
        write_json(found, arguments.text("--format"))
        return 0
    for event in found:
        show(event, arguments)
    return 0
