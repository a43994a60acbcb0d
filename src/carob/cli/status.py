"""``carob status``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import printable, time_text, write, write_json
from carob.cli.values import duration_s
from carob.engine.observe.ends import OutOfMemory, Signaled, Unknown, from_view, shell_code
from carob.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.cli.context import Context
    from carob.engine.handle import PodHandle

COMMAND = Command(
    "status",
    "tell the state of a pod, and how its apps ended",
    "UUID",
    options=(
        Option("--wait", "wait until the pod has ended, at most that long", "DURATION", optional=True),
        Option(
            "--wait-ready",
            "wait until its apps have been started, and are ready by their probes",
            "DURATION",
            optional=True,
        ),
        FORMAT,
    ),
    least=1,
    most=1,
    details="""\
As text, one KEY=VALUE a line: state, created, started, ended, pid, outcome, reason, networks and ports where
there are such, and for each app app-NAME=: the exit code as a shell has it and, where that is not all, how it
came; else created, running, paused, waiting (to be started again) or unknown, and how often it was restarted.
For an app with probes ready-NAME= says yes, or no and why.
A pod that was removed is told of for a day, by its whole uuid.""",
)
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
    24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS"}  # fmt: skip


def run(arguments: Arguments, context: Context) -> int:
    """Waits where asked to, and prints."""
    ready_s, over_s = (_timeout_s(arguments, name) for name in ("--wait-ready", "--wait"))
    handle = context.engine.get(arguments.words[0])
    if arguments.has("--wait-ready"):
        handle.wait_ready(timeout_s=ready_s)
    if arguments.has("--wait"):
        handle.wait(timeout_s=over_s)
    document = _document(handle, context)
    how = arguments.text("--format")
    if how:
        write_json(document, how)
    else:
        write("\n".join(_lines(document)))
    return 0


def _timeout_s(arguments: Arguments, name: str) -> float | None:
    text = arguments.text(name)
    return duration_s(text, name) if text else None


def _document(handle: PodHandle, context: Context) -> dict[str, Any]:
    """The pod's document; of one that is gone, the record of its end."""
    from carob.engine.observe.views import pod_document

    try:
        return pod_document(handle.status())
    except NotFound:
        from carob.engine.observe import tombstone

        record = tombstone.read(context.engine.data_dir, handle.uuid)
        if record is None:
            raise
        return {**record, "state": "gone"}


def _lines(document: dict[str, Any]) -> list[str]:
    pairs = [
        ("uuid", document["uuid"]),
        ("name", document["name"]),
        ("state", document["state"]),
        ("created", time_text(document["created_ns"])),
        ("started", time_text(document["started_ns"])),
        ("ended", time_text(document["ended_ns"])),
        ("pid", document["pid"]),
        ("outcome", document["outcome"]),
        ("reason", document["reason"]),
        *((kind, _owners_text(ranges)) for kind, ranges in document.get("owners", {}).items()),
        ("networks", networks_text(document.get("networks", ()))),
        ("ports", ",".join([port for one in document.get("networks", ()) for port in one["ports"]])),
        *((f"app-{app['name']}", _app_text(app)) for app in document["apps"]),
        *((f"ready-{app['name']}", _ready_text(app)) for app in document["apps"] if app.get("probes")),
        *(("warning", text) for text in document["warnings"]),
    ]
    return [f"{printable(key)}={printable(str(value))}" for key, value in pairs if value not in ("", None)]


def _owners_text(ranges: Sequence[Sequence[int]]) -> str:
    """``0:100000:65536``: the first in the pod, the first on the host, how many; as --uidmap takes them."""
    return ",".join([":".join(map(str, one)) for one in ranges])


def networks_text(networks: Sequence[dict[str, Any]]) -> str:
    """``default:ip4=10.78.0.2``, as rkt has it; each address of each network, with commas between."""
    found = []
    for network in networks:
        for address in network["addresses"] or [""]:
            ip = address.partition("/")[0]
            found.append(f"{network['name']}:ip{6 if ':' in ip else 4}={ip}")
    return ",".join(found)


def _app_text(app: dict[str, Any]) -> str:
    restarts = app.get("restarts")
    return f"{_life_text(app)}, restarts: {restarts}" if restarts else _life_text(app)


def _ready_text(app: dict[str, Any]) -> str:
    if app["ready"]:
        return "yes"
    probes = app["probes"].items()
    failed = [f"{role}: {one['reason']}" for role, one in probes if one["reason"] and not one["ok"]]
    return f"no ({'; '.join(failed)})" if failed else "no"


def _life_text(app: dict[str, Any]) -> str:
    if app["end"] is None:
        return str(app["state"])
    end = from_view(app["end"])
    match end:
        case Signaled(signal):
            return f"{shell_code(end)} (killed by signal {signal}{_signal_name(signal)})"
        case OutOfMemory():
            return f"{shell_code(end)} (killed: out of memory)"
        case Unknown(reason):
            return f"unknown ({reason})"
        case _:
            return str(shell_code(end))


def _signal_name(number: int) -> str:
    return f", {_SIGNALS[number]}" if number in _SIGNALS else ""
