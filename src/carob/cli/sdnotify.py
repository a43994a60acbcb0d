"""``--sdnotify``: a pod as a service of systemd's, ``Type=notify``, with the monitor as its main process."""

from __future__ import annotations

import os

from carob.cli.options import UsageError
from carob.linux import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.options import Arguments
    from carob.engine.handle import PodHandle
    from carob.engine.request.mounts import Mount

_MONITOR = ("monitor", "conmon")  # the second words are podman's
_APP = ("app", "container")


def for_app(arguments: Arguments) -> tuple[dict[str, str], list[Mount]]:
    """Variables and mounts by which apps reach systemd; nothing where they are not to."""
    place = notify.address()
    if arguments.text("--sdnotify") not in _APP or not place:
        return {}, []
    if place.startswith("@"):
        raise UsageError(
            f"systemd listens at {place}, which no app can reach", hint="--sdnotify=monitor does not need to"
        )
    from carob.engine.request.mounts import Mount

    return {notify.VARIABLE: place}, [Mount(os.path.realpath(place), place)]


def tell(arguments: Arguments, handle: PodHandle) -> None:
    """Tells systemd of a pod that is ready; nothing where nobody asked for it, or nobody listens."""
    who = arguments.text("--sdnotify")
    if who not in (*_MONITOR, *_APP) or not notify.address():
        return
    lines = [f"STATUS=pod {handle.uuid}"]
    if (monitor := handle.status().monitor_pid) is not None:
        lines.append(f"MAINPID={monitor}")
    if who in _MONITOR:
        lines.append("READY=1")
    notify.notify("\n".join(lines))
