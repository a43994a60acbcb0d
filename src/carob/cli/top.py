"""``carob top``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import table, time_text, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "top",
    "list the processes of a running pod",
    "UUID [APP…]",
    options=(
        Option("--app", "only those of this app, as APP", "NAME", many=True),
        Option("--no-legend", "no line of column names"),
        FORMAT,
    ),
    least=1,
    most=None,
    details="""\
PID is the host's number of a process, POD that of the pod's init, IN APP the app's own. USER is as the app
sees it, HOST UID who that is on the host, CPU the processor time in seconds. The JSON is an array of app,
pid, pod_pid, app_pid, uid, user, host_uid, state, cpu_s, memory_bytes, started_ns and command.""",
)
LEGEND = ("PID", "POD", "IN APP", "APP", "USER", "HOST UID", "STATE", "CPU", "MEMORY", "STARTED", "COMMAND")


def run(arguments: Arguments, context: Context) -> int:
    """Prints them."""
    from carob.cli.output import size_text
    from carob.engine.usage.top import document

    found = context.engine.get(arguments.words[0]).top(*arguments.words[1:], *arguments.texts("--app"))
    if arguments.text("--format"):
        write_json([document(one) for one in found], arguments.text("--format"))
        return 0
    rows = [
        [
            *map(str, (one.pid, one.pod_pid, one.app_pid)),
            *(one.app, one.user, str(one.host_uid), one.state),
            *(f"{one.cpu_s:.2f}", size_text(one.memory_bytes), time_text(one.started_ns), one.command),
        ]
        for one in found
    ]
    write(table(LEGEND, rows, with_legend=not arguments.has("--no-legend")))
    return 0
