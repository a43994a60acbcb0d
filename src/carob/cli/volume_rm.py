"""``carob volume rm``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command
from carob.cli.uuids import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "volume rm",
    "remove named volumes, with all that is in them",
    "NAME…",
    least=1,
    most=None,
    details="Refused where a pod uses one, also an ended pod that was not removed yet.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Removes each and prints what was given."""

    def remove(name: str) -> str:
        context.engine.volumes.remove(name)
        return name

    return each(arguments.words, remove)
