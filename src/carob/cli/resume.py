"""``carob resume``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option
from carob.cli.uuids import UUID_FILE, for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "resume",
    "let the paused apps of pods go on",
    "UUID…",
    options=(Option("--app", "this app alone", "NAME"), UUID_FILE),
    most=None,
    details="An app that is not paused is fine.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Does it to each and prints its uuid."""
    app = arguments.text("--app") or None
    return for_each(arguments, context, lambda handle: handle.resume(app=app))
