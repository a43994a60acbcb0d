"""Starting, stopping and removing the apps of a mutable pod.

Starting is done under the manifest's lock, like adding and removing, so that no app is started while it is
being removed. Stopping is not: it may take the whole grace, and what it does, the others can do over.
"""

from __future__ import annotations

from carob.engine.end.stop import wait_over
from carob.engine.observe.plan import read_plan
from carob.engine.sandbox import leftovers
from carob.engine.sandbox.manifest import Manifest
from carob.errors import AppStartFailed, Conflict, TimedOut, Unavailable
from carob.pod import State
from carob.protocol import life
from carob.supervisor import client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod import Pod

_AFTER_GRACE_S = 65.0
_AFTER_END_S = 5.0


def start(pod: Pod, name: str) -> None:
    """Starts an app that was created, or has ended; one that runs is fine. Returns when it runs.

    Raises ``NotFound``, ``AppStartFailed``, and ``Conflict`` where it is being ended, or the pod is.
    """
    with Manifest(pod) as manifest:
        manifest.require_running()
        manifest.entry(name)
        try:
            client.start_app(pod.fd(), str(pod.uuid), name)
        except AppStartFailed as error:
            error.message = f"app {name} could not be started: {error.message}"
            error.args = (error.message,)
            raise


def stop(pod: Pod, name: str, *, grace_s: float | None) -> None:
    """Asks an app to end, kills it after the grace, and returns when its end is written down.

    One that does not run is fine, and so is one whose pod has ended. Raises ``NotFound``.
    """
    manifest = Manifest(pod)
    manifest.read()
    manifest.entry(name)
    if pod.refresh() is not State.RUNNING:
        return
    plan = read_plan(pod)
    of_app = [one for one in plan["apps"] if one["name"] == name]
    planned_s = [*of_app, plan][0].get("grace_s", plan["grace_s"])
    patience_s = float(planned_s if grace_s is None else grace_s) + _AFTER_GRACE_S
    try:
        with client.Connection(pod.fd(), str(pod.uuid), patience_s) as connection:
            connection.send({"op": "stop-app", "app": name, "grace_s": grace_s})
            connection.receive()
    except Conflict:
        manifest.read()
        manifest.entry(name)  # not found where somebody has removed it meanwhile
        raise
    except Unavailable as error:
        try:
            wait_over(pod, timeout_s=_AFTER_END_S)  # init is gone before the pod counts as ended
        except TimedOut:
            raise error from None


def remove(pod: Pod, name: str, *, force: bool) -> None:
    """Removes an app with all that it wrote; one that runs only with ``force``, which kills it first.

    First it is ended, then the manifest names it no more, and then its files go. Raises ``NotFound``,
    ``Conflict``.
    """
    with Manifest(pod) as manifest:
        manifest.entry(name)
        if manifest.running:
            _end(pod, name, force=force)
        manifest.remove(name)
        leftovers.sweep(pod, manifest, str(read_plan(pod)["status_dir"]))


def _end(pod: Pod, name: str, *, force: bool) -> None:
    known = client.ask(pod.fd(), str(pod.uuid), {"op": "status"})["apps"].get(name)
    if known is None or known["state"] in (life.CREATED, life.ENDED):
        return
    if not force:
        raise Conflict(
            f"app {name} of pod {pod.uuid} is {known['state']}",
            hint=f"carob app stop {pod.uuid} --app={name} ends it; --force removes it all the same",
        )
    client.ask(pod.fd(), str(pod.uuid), {"op": "stop-app", "app": name, "grace_s": 0})


def reopen_log(pod: Pod, name: str) -> None:
    """Has the app's output go on in the file that has its log's name now, or a new one.

    Raises ``NotFound``, ``Conflict`` where the pod does not run.
    """
    with Manifest(pod) as manifest:
        manifest.require_running()
        manifest.entry(name)
        client.ask(pod.fd(), str(pod.uuid), {"op": "reopen-log", "app": name})
