"""What may be asked over the control socket of the apps that a pod has: signals, pauses, restarts, input.

Requests: ``signal`` with ``signal``, ``pause`` and ``resume``, each with ``app`` or for all that run;
``restart`` with ``app`` and ``grace_s``, answered once it runs again; ``attach`` with ``app``, answered with
its terminal or the writing end of its input, where it has one, which with ``once`` is nobody else's from then
on; ``close-input`` with ``app``.
"""

from __future__ import annotations

from carob.protocol import life
from carob.supervisor.course import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from carob.supervisor.apps import App
    from carob.supervisor.init import Init

LONGEST_GRACE_S = 1e9


def named(init: Init, name: str) -> App:
    """The app of that name."""
    app = init.apps.get(name)
    if app is None:
        raise Refused(f"there is no app {name!r} in this pod")
    return app


def grace_s(message: dict[str, Any]) -> float | None:
    """The grace that a request asks for, if it does."""
    grace = message.get("grace_s")
    if grace is not None and not 0 <= grace < LONGEST_GRACE_S:
        raise Refused(f"{grace!r} is no grace period")
    return None if grace is None else float(grace)


def answer(init: Init, client: socket, message: dict[str, Any]) -> dict[str, Any] | None:
    """Does what is asked; ``None`` where the answer comes later, or was given."""
    match message.get("op"):
        case "signal":
            for app in _running(init, message):
                init.course.signal(app, int(message["signal"]))
            return {"event": "signaled"}
        case "pause":
            _pause(init, _running(init, message))
            return {"event": "pausing"}
        case "resume":
            for app in _running(init, message):
                init.course.resume(app)
            return {"event": "resumed"}
        case "restart":
            app = named(init, message["app"])
            init.course.restart(app, grace_s(message))
            app.waiters.append(client)
            return None
        case "attach":
            _attach(init, client, message)
            return None
        case "close-input":
            named(init, message["app"]).streams.close_input()
            return {"event": "closed"}
        case other:
            raise Refused(f"this pod's init knows no request {other!r}")


def _running(init: Init, message: dict[str, Any]) -> list[App]:
    """The app that is meant, or without one all that run."""
    if message.get("app") is not None:
        return [named(init, message["app"])]
    found = [app for app in init.apps.values() if app.runs]
    if not found:
        raise Refused("no app of this pod is running")
    return found


def _pause(init: Init, apps: list[App]) -> None:
    """All of them, or none."""
    paused: list[App] = []
    try:
        for app in [one for one in apps if one.state != life.PAUSED]:
            init.course.pause(app)
            paused.append(app)
    except Refused:
        for app in paused:
            init.course.resume(app)
        raise


def _attach(init: Init, client: socket, message: dict[str, Any]) -> None:
    app = named(init, message["app"])
    if not app.pid:
        raise Refused(f"app {app.name!r} is not running")
    streams = app.streams
    given = () if streams.input < 0 else (streams.input,)
    init.control.say(client, {"event": "attached", "tty": streams.tty}, given)
    if message.get("once") and not streams.tty:
        streams.close_input()
