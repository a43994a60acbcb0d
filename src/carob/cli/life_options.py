"""The options that say how apps live: their roles, restarts, stop signals, and streams."""

from __future__ import annotations

from carob.cli import probe_options
from carob.cli.options import Arguments, Option, UsageError
from carob.cli.values import duration_s
from carob.engine.request.life import INPUTS, OUTPUTS, ROLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.request.life import LifeOptions

FOR_APPS = (
    Option(
        "--restart",
        "start an app again when it ends: never, on-failure[:TIMES] or always (default: never)",
        "POLICY",
    ),
    Option("--stop-signal", "ask an app to end with this signal (default: the image's)", "SIGNAL"),
    Option("--stop-timeout", "time between that and SIGKILL (default: --grace)", "DURATION"),
    Option("--stdin", "what an app reads (default: null)", "MODE", choices=INPUTS),
    Option("--stdout", "where its output goes (default: log)", "MODE", choices=OUTPUTS),
    Option("--stderr", "where its errors go (default: log)", "MODE", choices=OUTPUTS),
    Option("--interactive", "pass standard input on: --stdin=stream", short="-i"),
    Option("--tty", "give it a terminal: --stdin=tty", short="-t"),
    *probe_options.FOR_APPS,
)
"""Before the first image for every app, after an image for its app."""

FOR_ONE_APP = (
    Option(
        "--role", "init apps run first, sidecars around the main ones (default: main)", "ROLE", choices=ROLES
    ),
)


def life(pod: Arguments, own: Arguments) -> LifeOptions:
    """What was asked for one app, its own options over those of the pod. Raises ``UsageError``."""
    found: dict[str, Any] = {}
    for name in ("restart", "stop-signal", "stdin", "stdout", "stderr"):
        if text := own.text(f"--{name}") or pod.text(f"--{name}"):
            found[name.replace("-", "_")] = text
    if own.has("--role"):
        found["role"] = own.text("--role")
    if text := own.text("--stop-timeout") or pod.text("--stop-timeout"):
        found["stop_timeout_s"] = duration_s(text, "--stop-timeout")
    for name, mode in (("--interactive", "stream"), ("--tty", "tty")):
        if own.has(name) or pod.has(name):
            if found.get("stdin", mode) not in (mode, "stream"):
                raise UsageError(f"{name} and --stdin={found['stdin']} do not go together")
            found["stdin"] = mode
    found.update(probe_options.probes(pod, own))
    options: LifeOptions = found  # type: ignore[assignment]
    return options
