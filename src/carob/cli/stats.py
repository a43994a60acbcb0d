"""``carob stats``."""

from __future__ import annotations

import os
import time

from carob.cli.options import Arguments, Command, Option, UsageError
from carob.cli.output import STDOUT, size_text, table, write, write_json
from carob.cli.values import duration_s
from carob.errors import Conflict, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.usage.stats import PodStats, Usage

COMMAND = Command(
    "stats",
    "show what running pods use: processor, memory, processes, input and output",
    "[UUID…]",
    options=(
        Option("--no-stream", "look once"),
        Option("--interval", "the time between two looks (default: 1s)", "DURATION", short="-i"),
        Option("--no-apps", "the pods alone, without a line for each app"),
        Option("--format", "one object a pod and look, on a line of its own", "FORMAT", choices=("json",)),
    ),
    most=None,
    details="""\
All running pods, or those named; goes on until they have ended, or for ever where none is named. CPU is in
per cent of one processor since the look before, at first since the pod's start. MEMORY is the working set:
what is used without the cache that could go at once. Of a pod without a control group (*) it is all that its
processes have in memory.""",
)
LEGEND = ("UUID", "NAME", "APP", "CPU %", "MEMORY", "LIMIT", "PIDS", "READ", "WRITTEN", "RECEIVED", "SENT")
_SUMMED = "* no control group: its processes added up; memory that they share counts in each"
_SHORTEST_INTERVAL_S = 0.01
_CLEAR = "\x1b[H\x1b[2J"


def run(arguments: Arguments, context: Context) -> int:
    """Looks, again and again unless told not to."""
    interval_s = (
        duration_s(arguments.text("--interval"), "--interval") if arguments.has("--interval") else 1.0
    )
    if interval_s < _SHORTEST_INTERVAL_S:
        raise UsageError(f"--interval is {_SHORTEST_INTERVAL_S} s at least")
    before: dict[str, PodStats] = {}
    while True:
        found = _look(arguments.words, context, before)
        before = {stats.uuid: stats for stats in found}
        if arguments.words and not found and not arguments.has("--no-stream"):
            return 0
        _show(found, arguments)
        if arguments.has("--no-stream"):
            return 0
        time.sleep(interval_s)


def _look(words: list[str], context: Context, before: dict[str, PodStats]) -> list[PodStats]:
    """What is used now; pods that were seen and have ended are left out."""
    if not words:
        found = context.engine.stats()
    else:
        found = []
        for word in words:
            try:
                found.append(context.engine.get(word).stats())
            except (Conflict, NotFound):
                if not before:
                    raise
    for stats in found:
        if stats.uuid in before:
            stats.tell_cpu_since(before[stats.uuid])
    return found


def _show(found: list[PodStats], arguments: Arguments) -> None:
    if arguments.has("--format"):
        from carob.engine.usage.stats import document

        for stats in found:
            write_json(document(stats), "json")
        return
    rows = [row for stats in found for row in _rows(stats, with_apps=not arguments.has("--no-apps"))]
    live = os.isatty(STDOUT) and not arguments.has("--no-stream")
    text = table(LEGEND, rows)
    if any(stats.is_summed for stats in found):
        text = f"{text.rstrip()}\n{_SUMMED}\n"
    write((_CLEAR if live else "") + text)


def _rows(stats: PodStats, *, with_apps: bool) -> list[list[str]]:
    traffic = ["-", "-"]
    if stats.network is not None:
        received = sum(one.received_bytes for one in stats.network.values())
        traffic = [size_text(received), size_text(sum(one.sent_bytes for one in stats.network.values()))]
    uuid = stats.uuid[:8] + "*" * stats.is_summed
    rows = [[uuid, stats.name, "", *_figures(stats.total, stats.cpu_percent.get("")), *traffic]]
    if with_apps:
        for name, usage in stats.apps.items():
            rows.append(["", "", name, *_figures(usage, stats.cpu_percent.get(name)), "", ""])
    return rows


def _figures(usage: Usage, cpu_percent: float | None) -> list[str]:
    return [
        "-" if cpu_percent is None else f"{cpu_percent:.1f}",
        _size(usage.working_set_bytes),
        _size(usage.memory_limit_bytes),
        "-" if usage.pids is None else str(usage.pids),
        _size(usage.io_read_bytes),
        _size(usage.io_written_bytes),
    ]


def _size(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else size_text(size_bytes)
