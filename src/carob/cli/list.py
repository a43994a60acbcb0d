"""``carob list``."""

from __future__ import annotations

import time

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import ago, say, table, time_text, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.observe.pods import BrokenPod, PodSummary

COMMAND = Command(
    "list",
    "list the pods",
    options=(
        Option("--full", "whole uuids, image ids and exact times"),
        Option("--no-legend", "no line of column names"),
        FORMAT,
    ),
    details="""\
The JSON is an array of pods with uuid, name, state and apps (name, image, image_id); with --full it has all
that carob status tells of each.""",
)
LEGEND = ("UUID", "NAME", "APP", "IMAGE NAME", "STATE", "CREATED", "STARTED", "NETWORKS")
FULL_LEGEND = ("UUID", "NAME", "APP", "IMAGE NAME", "IMAGE ID", "STATE", "CREATED", "STARTED", "NETWORKS")
_SHORT_UUID = 8


def run(arguments: Arguments, context: Context) -> int:
    """Prints the pods."""
    how = arguments.text("--format")
    full = arguments.has("--full")
    if how and full:
        from carob.engine.observe.views import pod_document

        write_json([pod_document(one) for one in context.engine.list()], how)
    elif how == "json":
        from carob.engine.observe.views import summary_json

        write("[" + ",".join([summary_json(one) for one in context.engine.summaries(_say_broken)]) + "]")
    elif how:
        from carob.engine.observe.views import summary_document

        write_json([summary_document(one) for one in context.engine.summaries(_say_broken)], how)
    else:
        now_ns = time.time_ns()
        rows = [
            row
            for pod in context.engine.summaries(_say_broken, times=True)
            for row in _rows(pod, now_ns, full=full)
        ]
        write(table(FULL_LEGEND if full else LEGEND, rows, with_legend=not arguments.has("--no-legend")))
    return 0


def _say_broken(broken: BrokenPod) -> None:
    say(f"passed over {broken.directory}/{broken.name}: {broken.reason}")


def _rows(pod: PodSummary, now_ns: int, *, full: bool) -> list[list[str]]:
    """One row an app, what belongs to the pod in the first; one row for a pod without apps."""
    rows = []
    for at, app in enumerate(pod.apps or (None,)):
        cells = [app.name, app.image] if app is not None else ["-", "-"]
        if full:
            cells.append(app.image_id if app is not None else "-")
        if at == 0:
            uuid = pod.uuid if full else pod.uuid[:_SHORT_UUID]
            times = [time_text(one) if full else ago(one, now_ns) for one in (pod.created_ns, pod.started_ns)]
            rows.append([uuid, pod.name, *cells, str(pod.state), *times, _networks(pod)])
        else:
            rows.append(["", "", *cells, "", "", "", ""])
    return rows


def _networks(pod: PodSummary) -> str:
    """``default:ip4=10.78.0.2``, as rkt has it."""
    return ",".join([f"{name}:ip{6 if ':' in ip else 4}={ip}" for name, ip in pod.networks])
