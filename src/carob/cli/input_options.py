"""Whether an app of a pod in the foreground is to have standard input: asked before there is a pod.

What then passes it on (``carob.cli.interaction``) is loaded for those that do.
"""

from __future__ import annotations

from carob.cli.options import Option, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from carob.cli.foreground import Attach
    from carob.engine.request.pod import PodRequest

DEFAULT_KEYS = "ctrl-p,ctrl-q"
DETACH_KEYS = Option("--detach-keys", f"keys that leave an app's terminal (default: {DEFAULT_KEYS})", "KEYS")


def input_modes(request: PodRequest) -> dict[str, str]:
    """How each app reads, by its name in the pod; empty where none does."""
    if all(app.life.streams["stdin"] == "null" for app in request.apps):
        return {}
    from carob.engine.prepare.pod import app_names

    names = app_names(request.apps)
    return {name: app.life.streams["stdin"] for name, app in zip(names, request.apps, strict=True)}


def session_for(modes: Mapping[str, str], keys: str) -> Attach | None:
    """How to give standard input to the app that reads; ``None`` where none does.

    Raises ``UsageError`` where several do, or there is no terminal here for one that has one.
    """
    reading = [name for name, mode in modes.items() if mode != "null"]
    if not reading:
        return None
    if len(reading) > 1:
        raise UsageError(
            f"several apps would read standard input: {', '.join(reading)}",
            hint="put --interactive or --tty after one app's image, or use --detach and carob attach",
        )
    from carob.cli.interaction import DetachKeys, Interaction, Session

    reader = Interaction(reading[0], tty=modes[reading[0]] == "tty")
    parsed = DetachKeys(keys or DEFAULT_KEYS)
    return lambda handle: Session(handle, reader, once=True, keys=parsed)
