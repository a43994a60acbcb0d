"""What is left on the host of networks whose pod's monitor could not detach it: done by rm and gc."""

from __future__ import annotations

import os

from carob.engine.observe.plan import has_networks
from carob.errors import CarobError, NotFound, Unavailable
from carob.pod import State, open_pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod import Pod

_ENDED = (State.EXITED, State.EXITED_GARBAGE)


def release(pod: Pod, *, force: bool) -> None:
    """Detaches a pod that has run and is about to be deleted; nothing to do is the usual case.

    Raises ``Unavailable`` where a plugin fails, but with ``force``: then what the plugins of CNI's reference
    set would have done is done in their place.
    """
    if not has_networks(pod):
        return
    from carob.network.detach import detach
    from carob.network.places import users_places

    owed = detach(pod.fd(), users_places(), force=force, thorough=True)
    if owed and not force:
        raise Unavailable(
            f"pod {pod.uuid} is not detached from its networks: {_said(owed)}",
            hint=f"carob gc tries it again; carob rm --force {pod.uuid} does without the plugins",
        )


def _said(owed: dict[str, str]) -> str:
    return "; ".join([f"{interface}: {why}" for interface, why in owed.items()])


def collect(data_dir: str) -> list[str]:
    """Sees to pods that ended undetached, to those whose directory is gone, and to what networks without pods
    leave on the host. Returns what could not be done, one line each.
    """
    from carob.network.places import users_places

    places = users_places()
    if not os.path.isdir(places.state):
        return []  # nothing was attached since this host was booted
    from carob.network.collect import collect as collect_networks
    from carob.pod.directory import locate

    problems = []
    for uuid in sorted(os.listdir(f"{places.state}/pods")) if os.path.isdir(f"{places.state}/pods") else ():
        try:
            problems += _detach_ended(data_dir, uuid)
        except NotFound:
            continue  # of another data directory, or its directory is gone
        except (CarobError, OSError) as error:
            problems.append(f"{uuid}: {error}")
    done = collect_networks(
        places, os.path.abspath(data_dir), lambda uuid: locate(data_dir, uuid)[0] is not None
    )
    return problems + done.problems


def _detach_ended(data_dir: str, uuid: str) -> list[str]:
    """Detaches a pod whose monitor died or ran out of time, while its directory is kept for a while.

    Where deleting it has begun, that is what takes so long.
    """
    from carob.engine.observe.keeper import init_is_alive
    from carob.network.detach import detach
    from carob.network.places import users_places
    from carob.pod.remove import deleting_has_begun

    with open_pod(data_dir, uuid) as pod:
        if pod.state() not in _ENDED or init_is_alive(pod) or deleting_has_begun(pod):
            return []
        owed = detach(pod.fd(), users_places(), thorough=True)
    return [f"{uuid}: not detached from its networks: {_said(owed)}"] if owed else []
