"""What may be done to the apps of a running pod: signals, pauses, restarts."""

from __future__ import annotations

from time import sleep

from carob.engine.observe.keeper import Deadline
from carob.engine.observe.plan import read_plan
from carob.errors import AppStartFailed, Conflict, TimedOut
from carob.linux import freezer
from carob.protocol import life
from carob.supervisor import client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.errors import CarobError
    from carob.pod import Pod

_FREEZING_S = 10.0
_PAUSE_S = 0.002
_AFTER_GRACE_S = 65.0


def signal(pod: Pod, app: str | None, number: int) -> None:
    """Sends a signal to the first process of an app, or of each that runs; ``Conflict`` where none does."""
    client.ask(pod.fd(), str(pod.uuid), _request("signal", app, signal=number))


def pause(pod: Pod, app: str | None) -> None:
    """Freezes all processes of an app, or of each that runs, and returns when they stand still.

    Raises ``Conflict``, also where somebody lets it go on meanwhile, and ``TimedOut`` where one cannot be
    frozen (it waits for a device); they then go on.
    """
    uuid = str(pod.uuid)
    client.ask(pod.fd(), uuid, _request("pause", app))
    group = read_plan(pod)["cgroup"]
    if app is not None:
        paused = [app]
    else:
        paused = [name for name, state in _states(pod, uuid).items() if state == life.PAUSED]
    deadline = Deadline(_FREEZING_S)
    for name in paused:
        while not _stands_still(f"{group}/{name}"):
            state = _states(pod, uuid).get(name, life.ENDED)
            if state == life.ENDED:
                break
            if state != life.PAUSED:
                raise Conflict(f"app {name} of pod {uuid} was resumed, or is to end, before it stood still")
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

    One that has ended is started, and of all apps those that never were are left alone. Raises ``Conflict``
    where the pod is being ended, ``AppStartFailed``; by then it was done to all that it can be done to.
    """
    plan, uuid = read_plan(pod), str(pod.uuid)
    planned = {one["name"]: one for one in plan["apps"]}
    chosen = [app] if app is not None else _restartable(pod, uuid, planned)
    if not chosen:
        raise Conflict(f"pod {uuid} has no apps to restart")
    graces_s = [planned.get(name, plan).get("grace_s", plan["grace_s"]) for name in chosen]
    patience_s = (max(graces_s) if grace_s is None else grace_s) + _AFTER_GRACE_S
    with client.Connection(pod.fd(), uuid, patience_s) as connection:
        for name in chosen:
            connection.send({"op": "restart", "app": name, "grace_s": grace_s})
        errors: list[CarobError] = []
        for _ in chosen:
            try:
                answer, _ = connection.receive()
                client.check_start(str(answer.get("app")), answer)
            except (Conflict, AppStartFailed) as error:
                errors.append(error)
    if errors:
        raise errors[0]


def _restartable(pod: Pod, uuid: str, planned: dict[str, dict[str, Any]]) -> list[str]:
    begun = [name for name, state in _states(pod, uuid).items() if state != life.CREATED]
    return [name for name in begun if planned.get(name, {}).get("role") != life.INIT]


def _states(pod: Pod, uuid: str) -> dict[str, str]:
    apps = client.ask(pod.fd(), uuid, {"op": "status"})["apps"]
    return {name: str(one["state"]) for name, one in apps.items()}


def _request(op: str, app: str | None, **more: int) -> dict[str, Any]:
    return {"op": op, **more} if app is None else {"op": op, "app": app, **more}
