"""What may be done to the apps of a running pod: signals, pauses, restarts."""

from __future__ import annotations

from time import sleep

from carob.engine.observe.keeper import Deadline
from carob.engine.observe.plan import read_plan
from carob.errors import TimedOut
from carob.linux import freezer
from carob.protocol import life
from carob.supervisor import client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.pod import Pod

_FREEZING_S = 10.0
_PAUSE_S = 0.002
_AFTER_GRACE_S = 65.0


def signal(pod: Pod, app: str | None, number: int) -> None:
    """Sends a signal to the first process of an app, or of each that runs; ``Conflict`` where none does."""
    client.ask(pod.fd(), str(pod.uuid), _request("signal", app, signal=number))


def pause(pod: Pod, app: str | None) -> None:
    """Freezes all processes of an app, or of each that runs, and returns when they stand still.

    Raises ``Conflict``, and ``TimedOut`` where one cannot be frozen (it waits for a device); they then go on.
    """
    uuid = str(pod.uuid)
    client.ask(pod.fd(), uuid, _request("pause", app))
    group = read_plan(pod)["cgroup"]
    paused = [app] if app is not None else _names(pod, uuid, life.PAUSED)
    deadline = Deadline(_FREEZING_S)
    for name in paused:
        while not _stands_still(f"{group}/{name}"):
            if not deadline.left_s():
                client.ask(pod.fd(), uuid, _request("resume", app))
                raise TimedOut(f"app {name} of pod {uuid} could not be paused within {_FREEZING_S:.0f} s")
            sleep(_PAUSE_S)


def _stands_still(group: str) -> bool:
    try:
        return freezer.is_frozen(group)
    except FileNotFoundError:
        return True  # it has ended meanwhile


def resume(pod: Pod, app: str | None) -> None:
    """Lets an app go on, or all; those that are not paused are fine."""
    client.ask(pod.fd(), str(pod.uuid), _request("resume", app))


def restart(pod: Pod, app: str | None, *, grace_s: float | None) -> None:
    """Ends an app, or each but the init apps, and starts it anew; returns when it runs.

    One that has ended is started. Raises ``Conflict`` where the pod is being ended, or an app cannot start.
    """
    plan, uuid = read_plan(pod), str(pod.uuid)
    planned = {one["name"]: one for one in plan["apps"]}
    chosen = (
        [app] if app is not None else [name for name, one in planned.items() if one.get("role") != life.INIT]
    )
    graces_s = [planned.get(name, plan).get("grace_s", plan["grace_s"]) for name in chosen]
    patience_s = (max(graces_s) if grace_s is None else grace_s) + _AFTER_GRACE_S
    with client.Connection(pod.fd(), uuid, patience_s) as connection:
        for name in chosen:
            connection.send({"op": "restart", "app": name, "grace_s": grace_s})
        for _ in chosen:
            connection.receive()


def _names(pod: Pod, uuid: str, state: str) -> list[str]:
    apps = client.ask(pod.fd(), uuid, {"op": "status"})["apps"]
    return [name for name, one in apps.items() if one["state"] == state]


def _request(op: str, app: str | None, **more: int) -> dict[str, Any]:
    return {"op": op, **more} if app is None else {"op": op, "app": app, **more}
