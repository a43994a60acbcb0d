"""``carob logs``."""

from __future__ import annotations

from carob.cli.foreground import pass_on
from carob.cli.options import Arguments, Command, Option
from carob.cli.output import STDOUT, write_bytes, write_json
from carob.cli.values import count, moment_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from carob.cli.context import Context
    from carob.engine.observe.output import LogEntry

COMMAND = Command(
    "logs",
    "print what the apps of a pod wrote",
    "UUID [APP]",
    options=(
        Option("--app", "only that of this app, as APP", "NAME"),
        Option("--follow", "go on until the pod has ended", short="-f"),
        Option("--tail", "only the last lines of each app", "LINES", short="-n"),
        Option("--since", "only from then on: 10m (ago), @SECONDS, or an ISO 8601 time", "TIME"),
        Option("--until", "only what came before: as --since", "TIME"),
        Option("--timestamps", "a line for each line, with its time and its app before it", short="-t"),
        Option(
            "--format", "one object a line: app, stream, time_ns, partial, data", "FORMAT", choices=("json",)
        ),
    ),
    least=1,
    most=2,
    details="""\
What an app wrote to standard output and standard error goes to the same streams here, byte for byte, unless
--timestamps or --format is given. Without APP, that of all apps in the order of time.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints entries until they end, or the pod does."""
    tail = count(arguments.text("--tail"), "--tail") if arguments.has("--tail") else None
    since_ns = moment_ns(arguments.text("--since"), "--since") if arguments.has("--since") else 0
    until_ns = moment_ns(arguments.text("--until"), "--until") if arguments.has("--until") else None
    uuid, *apps = arguments.words
    batches = context.engine.get(uuid).log_batches(
        *(apps or arguments.texts("--app")),
        tail=tail,
        since_ns=since_ns,
        until_ns=until_ns,
        follow=arguments.has("--follow"),
    )
    for batch in batches:
        if arguments.has("--format"):
            _print_json(batch)
        elif arguments.has("--timestamps"):
            _print_with_times(batch)
        else:
            pass_on(batch)
    return 0


def _print_json(batch: Iterable[tuple[str, LogEntry]]) -> None:
    for app, entry in batch:
        document = {
            "app": app,
            "stream": entry.stream,
            "time_ns": entry.time_ns,
            "partial": entry.partial,
            "data": entry.data.decode("utf-8", "replace"),
        }
        write_json(document, "json")


def _print_with_times(batch: Iterable[tuple[str, LogEntry]]) -> None:
    from carob.cli.output import time_text

    for app, entry in batch:
        write_bytes(f"{time_text(entry.time_ns)} {app} {entry.stream} ".encode() + entry.data + b"\n", STDOUT)
