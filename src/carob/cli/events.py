"""``carob events``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option, UsageError
from carob.cli.output import printable, time_text, write, write_json
from carob.cli.values import moment_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.cli.context import Context

COMMAND = Command(
    "events",
    "tell what happens to pods, as it happens",
    "[UUID]",
    options=(
        Option("--since", "from then on: 10m (ago), @SECONDS, or an ISO 8601 time (default: now)", "TIME"),
        Option("--no-stream", "end with what has happened until now"),
        Option(
            "--format", "one object a line: time_ns, event, uuid, name and more", "FORMAT", choices=("json",)
        ),
    ),
    most=1,
    details="""\
Events are prepared (or prepare-aborted), started, app-started, app-ended, ended and removed, and of apps
with probes app-ready, app-unready and probe-failed (the last 16 changes of each app); with UUID, those of
one pod. They are read from the pods' directories, so none is missed by who is slow; of pods that were
removed, they are known for a day.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Tells them until it is interrupted."""
    from carob.engine.observe.events import document

    follow = not arguments.has("--no-stream")
    if not follow and not arguments.has("--since"):
        raise UsageError("--no-stream needs --since", hint="such as carob events --no-stream --since 1h")
    since_ns = moment_ns(arguments.text("--since"), "--since") if arguments.has("--since") else None
    uuid = context.engine.get(arguments.words[0]).uuid if arguments.words else ""
    for event in context.engine.events(since_ns=since_ns, follow=follow):
        if event.uuid == uuid or not uuid:
            show(document(event), arguments)
    return 0


def show(event: dict[str, Any], arguments: Arguments) -> None:
    """One event in one line."""
    if arguments.has("--format"):
        write_json(event, "json")
        return
    told = [time_text(event["time_ns"]), event["uuid"], event["event"], event.get("app", ""), *_more(event)]
    write(" ".join(printable(str(word)) for word in told if word))


def _more(event: dict[str, Any]) -> list[str]:
    end = event.get("end")
    if end is not None:
        return [f"{key}={value}" for key, value in end.items()]
    return [f"{key}={event[key]}" for key in ("outcome", "probe", "reason") if event.get(key)]
