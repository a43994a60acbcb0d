"""A supervisor that was started before its pod is known."""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.supervisor import launch

_NAMESPACES = ("mnt", "net", "cgroup", "user")


class Standby:
    """A waiting supervisor and the circumstances it was started in.

    Its init has a copy of the host's mount table as it was then, and it is in the namespaces and has the
    rights of then: where any of that has changed since, it is of no use any more.
    """

    __slots__ = ("_circumstances", "_mounts", "_network", "_runtime", "monitor")

    def __init__(self, network: str, runtime: str, start: Callable[[], launch.Monitor]) -> None:
        self._network = network
        self._runtime = runtime
        self._circumstances = _circumstances()
        # Becomes "readable" with the first change after it was opened (proc_pid_mounts(5)).
        self._mounts = os.open("/proc/self/mounts", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.monitor = start()
        except BaseException:
            os.close(self._mounts)
            raise

    def __del__(self) -> None:
        """Of an engine that was dropped without ``close``: what stands by ends with its channel."""
        if self._mounts >= 0 and hasattr(self, "monitor"):
            self.dismiss()

    def fits(self, network: str, runtime: str) -> bool:
        """Whether it can be used now for a pod with this network and runtime.

        It is used up by that, or to be dismissed.
        """
        fits = (
            (network, runtime) == (self._network, self._runtime)
            and self._circumstances == _circumstances()
            and not self._has_changed_or_ended()
        )
        if fits:
            os.close(self._mounts)
            self._mounts = -1
        return fits

    def _has_changed_or_ended(self) -> bool:
        poll = select.poll()
        poll.register(self._mounts, select.POLLPRI)
        poll.register(self.monitor.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def dismiss(self) -> None:
        """Ends it; in a forked child, only lets go of what the child has of it."""
        os.close(self._mounts)
        self._mounts = -1
        if self._circumstances[0] == os.getpid():
            self.monitor.close()
        else:
            self.monitor.drop()


def _circumstances() -> tuple[object, ...]:
    namespaces = [os.stat(f"/proc/self/ns/{name}").st_ino for name in _NAMESPACES]
    root = os.stat("/")
    return (os.getpid(), *os.getresuid(), *os.getresgid(), *namespaces, root.st_dev, root.st_ino)
