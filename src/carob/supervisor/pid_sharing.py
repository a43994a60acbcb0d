"""Apps that are among the processes of another app of their pod, or of a namespace that the pod's apps share.

The runtime finds the namespace at a path that is in its configuration from the start. There init puts a link
to a descriptor of its own, anew before each run: whatever becomes of processes and their numbers, it leads to
that namespace and to no other.
"""

from __future__ import annotations

import os

from carob.protocol import plan as plans
from carob.supervisor.pid_holder import PidHolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from carob.supervisor.apps import App


class PidSharing:
    """Of one pod."""

    __slots__ = ("_holder", "_kept")

    def __init__(self, user_namespace: int) -> None:
        self._holder = PidHolder(user_namespace)
        self._kept: dict[str, int] = {}

    def lead(self, apps: Mapping[str, App], app: App) -> None:
        """Leads the runtime to the namespace that the app is to be in; ``OSError`` where there is none."""
        if "pid_of" not in app.spec:
            return
        self.let_go(app)
        wanted = app.spec["pid_of"]
        if wanted == plans.ALL_APPS:
            self._kept[app.name] = self._holder.open_namespace()
        else:
            other = apps.get(wanted)
            if other is None or not other.pid:
                raise OSError(f"app {wanted!r}, among whose processes it is to be, does not run")
            self._kept[app.name] = os.open(f"/proc/{other.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        os.symlink(f"/proc/{os.getpid()}/fd/{self._kept[app.name]}", plans.pid_namespace(app.name))

    def let_go(self, app: App) -> None:
        """Lets go of that namespace."""
        kept = self._kept.pop(app.name, -1)
        if kept >= 0:
            os.close(kept)
            try:
                os.unlink(plans.pid_namespace(app.name))
            except FileNotFoundError:
                return
