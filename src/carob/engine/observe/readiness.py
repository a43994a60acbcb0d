"""What the probes of a pod's apps say, from what init has noted of them, and waiting until all are ready."""

from __future__ import annotations

from time import monotonic

from carob.engine.request.inputs import timeout
from carob.engine.request.life import PROBES
from carob.errors import Conflict
from carob.pod import State, wait
from carob.pod.state import STATE_AFTER_UNLOCK, is_finished
from carob.protocol import life, probing
from carob.protocol import plan as plans
from carob.protocol.compact_json import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from carob.engine.observe.status import AppStatus
    from carob.pod import Pod

_FILES = ("probes.json", "exit.json", "life.json")
"""Of an app's directory: what tells that it is ready, or that it never will be."""


class ProbeStatus:
    """One probe of an app: ``passing`` is what it says by its thresholds, ``None`` until that is known.

    ``ok`` is how it went last, ``reason`` why it last failed (``""``: it has not in this run).
    """

    __slots__ = ("ok", "passing", "reason")

    def __init__(self, passing: bool | None, ok: bool | None, reason: str) -> None:
        self.passing = passing
        self.ok = ok
        self.reason = reason

    def __repr__(self) -> str:
        return f"ProbeStatus(passing={self.passing}, ok={self.ok}, reason={self.reason!r})"

    def document(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"passing": self.passing, "ok": self.ok, "reason": self.reason}


class ProbeChange:
    """What an app's probes came to at some time (ns since 1970): ``app-ready``, ``app-unready``, or
    ``probe-failed``, with the role of the ``probe`` and the ``reason``.
    """

    __slots__ = ("event", "probe", "reason", "time_ns")

    def __init__(self, time_ns: int, event: str, probe: str = "", reason: str = "") -> None:
        self.time_ns = time_ns
        self.event = event
        self.probe = probe
        self.reason = reason

    def __repr__(self) -> str:
        return f"ProbeChange({self.time_ns}, {self.event!r}, {self.probe!r}, {self.reason!r})"

    def document(self) -> dict[str, Any]:
        """The same as plain data."""
        return {name: getattr(self, name) for name in ("time_ns", "event", "probe", "reason")}


def tell(app: AppStatus, wanted: str, note: Mapping[str, Any]) -> None:
    """Adds to an app's status what is noted of its probes; ``wanted`` is what the manifest says of them."""
    try:
        roles = [role for role in loads(wanted) if role in probing.ROLES]
    except (ValueError, TypeError):
        return
    current = app.state == life.RUNNING and note.get("started_ns") == app.started_ns
    app.ready = current and note.get("ready") is True
    noted = note.get("probes")
    app.probes = {role: _probe(noted.get(role) if isinstance(noted, dict) else None) for role in roles}
    changes = note.get("changes")
    app.probe_changes = tuple(
        [_change(one) for one in (changes if isinstance(changes, list) else ()) if _is_change(one)]
    )


def _probe(noted: Any) -> ProbeStatus:
    if not isinstance(noted, dict):
        return ProbeStatus(None, None, "")
    passing, ok = (value if isinstance(value := noted.get(key), bool) else None for key in ("passing", "ok"))
    return ProbeStatus(passing, ok, str(noted.get("reason") or ""))


def _is_change(one: Any) -> bool:
    if not isinstance(one, dict):
        return False
    return isinstance(one.get("time_ns"), int) and one.get("event") in probing.EVENTS


def _change(one: Mapping[str, Any]) -> ProbeChange:
    probe, reason = (str(one.get(key) or "") for key in ("probe", "reason"))
    return ProbeChange(one["time_ns"], one["event"], probe, reason)


def probed(pod: Pod) -> list[str]:
    """The names of the apps that have probes which say when they are ready."""
    from carob.engine.observe.status import annotation, app_entries

    found = []
    for entry in app_entries(pod):
        text = annotation(entry, PROBES)
        if f'"{probing.READINESS}"' in text or f'"{probing.STARTUP}"' in text:
            found.append(str(entry["name"]))
    return found


class AppsReady:
    """That these apps of a running pod are ready: something to wait for (``carob.pod.wait``)."""

    def __init__(self, pod: Pod, apps: list[str]) -> None:
        self.pod = pod
        self._apps = apps
        self.purpose = "the readiness of its apps"

    def look(self) -> State | None:
        """The state, once all are ready. Raises ``Conflict`` where one has ended, or the pod has."""
        from carob.engine.observe import status

        state = self.pod.refresh()
        if is_finished(state):
            raise Conflict(f"pod {self.pod.uuid} is {state}, and its apps were never all ready")
        waited_for = [app for app in status.read(self.pod).apps if app.name in self._apps]
        for app in waited_for:
            if app.end is not None:
                raise Conflict(f"app {app.name} has ended, and was not ready before all were", hint=_why(app))
        missing = [app for app in waited_for if not app.ready]
        shown = ", ".join([f"app {app.name} ({_why(app) or 'not tried yet'})" for app in missing])
        self.purpose = f"the readiness of {shown}"
        return None if missing else state

    def places(self) -> list[tuple[str, str]]:
        """The files that tell of it."""
        top = self.pod.path()
        return [(f"{top}/{plans.bundle_directory(app)}", name) for app in self._apps for name in _FILES]

    def has_event(self) -> bool:
        """As for the pod's own waits."""
        return self.pod.state() not in STATE_AFTER_UNLOCK


def _why(app: AppStatus) -> str:
    if app.state in (life.PAUSED, life.WAITING):
        return app.state
    failed = [(role, one.reason) for role, one in app.probes.items() if one.reason and not one.ok]
    return "; ".join([f"{role}: {reason}" for role, reason in failed])


def wait_ready(pod: Pod, *, timeout_s: float | None) -> None:
    """Waits until all apps have been started, and those with probes are ready.

    Raises ``TimedOut``, and ``Conflict`` where that cannot be any more.
    """
    timeout_s = timeout(timeout_s)
    deadline = None if timeout_s is None else monotonic() + timeout_s
    pod.wait_ready(timeout_s=timeout_s)
    if apps := probed(pod):
        left_s = None if deadline is None else max(0.0, deadline - monotonic())
        wait.run(AppsReady(pod, apps), left_s)


async def wait_ready_async(pod: Pod) -> None:
    """The same in the running event loop, without a limit."""
    await pod.wait_ready_async()
    if apps := probed(pod):
        await wait.run_async(AppsReady(pod, apps), None)
