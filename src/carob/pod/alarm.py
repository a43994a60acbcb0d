"""What wakes a wait: events of directories, ends of processes, and the clock.

A wait looks, arms an alarm for what it saw, looks again in case it has just happened, and sleeps. The
kernel has no event for a lock that becomes free without its holder's end, so there is always a time
after which to look all the same: short and growing where nothing better is known, long where init or
the monitor of the pod is being watched.
"""

from __future__ import annotations

import os
import select

from carob.errors import CarobError
from carob.linux import inotify
from carob.linux.pidfd import has_ended, open_pidfd
from carob.linux.proc import start_time_s
from carob.pod import layout
from carob.pod.tree import read_pod_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from typing import Protocol

    from carob.pod.pod import Pod

    class Sleeper(Protocol):
        """Sleeps until woken, by a descriptor or from another thread."""

        def add(self, fd: int) -> None:
            """Wakes up when ``fd`` is readable."""

        def remove(self, fd: int) -> None:
            """Does not any more."""

        def add_events(self, instance: inotify.Instance) -> None:
            """Reads the events of ``instance`` when there are any."""

        def remove_events(self) -> None:
            """Does not any more; called before the instance may be closed."""

        def wake(self) -> None:
            """Ends the sleep; may be called from any thread."""

        def close(self) -> None:
            """Leaves nothing behind."""


_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.1
_WATCHED_PAUSE_S = 1.0
# A process that began later than its PID was written down, by more than clocks are wrong, is another.
_CLOCK_SLACK_S = 2.0


class Alarm:
    """The events and processes that one wait is woken by."""

    __slots__ = ("_ended", "_pause_s", "_pidfds", "_places", "_sleeper", "_unwatchable")

    def __init__(self, sleeper: Sleeper) -> None:
        self._sleeper = sleeper
        self._places: dict[tuple[str, str], inotify.Subscription] = {}
        self._pidfds: dict[int, int] = {}
        self._ended: set[int] = set()
        self._unwatchable = False
        self._pause_s = _FIRST_PAUSE_S

    def arm(self, places: list[tuple[str, str]], processes_of: Pod | None) -> bool:
        """Watches these (directory, name) pairs, and init and monitor of this pod; whether any is new.

        What was watched before and is not named any more is let go.
        """
        self._reap()
        added = self._arm_places(places)
        if processes_of is None:
            self._drop_processes()
        elif not self._pidfds:
            added = self._arm_processes(processes_of) or added
        if added:
            self._pause_s = _FIRST_PAUSE_S
        return added

    def pause_s(self, *, sure: bool) -> float:
        """How long to sleep at most before looking again; ``sure`` if an event will tell of all changes."""
        watched = (sure and not self._unwatchable) or bool(self._pidfds)
        # Once one of the processes has ended, the other is about to let go of the lock.
        if watched and (not self._ended or self._pause_s >= _LONGEST_PAUSE_S):
            return _WATCHED_PAUSE_S
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, _LONGEST_PAUSE_S)
        return pause_s

    def close(self) -> None:
        """Lets go of all that is watched."""
        self._arm_places([])
        self._drop_processes()
        self._sleeper.close()

    def _arm_places(self, places: list[tuple[str, str]]) -> bool:
        new = [place for place in places if place not in self._places]
        old = [place for place in self._places if place not in places]
        self._unwatchable = False
        added = False
        for place in new:
            try:
                subscription = inotify.subscribe(*place, self._sleeper.wake)
            except OSError:
                # Gone in the meantime, or no watch left: the clock will do.
                self._unwatchable = True
                continue
            try:
                self._sleeper.add_events(inotify.instance_of(subscription))
            except OSError:
                inotify.unsubscribe(subscription)
                self._unwatchable = True
                continue
            self._places[place] = subscription
            added = True
        if len(old) == len(self._places):
            self._sleeper.remove_events()
        for place in old:
            inotify.unsubscribe(self._places.pop(place))
        return added

    def _arm_processes(self, pod: Pod) -> bool:
        for name in (layout.PID, layout.PPID):
            try:
                pid = read_pod_int(pod, name)
                written_s = os.stat(name, dir_fd=pod.fd()).st_mtime
                pidfd = None if pid in self._ended or pid in self._pidfds else open_pidfd(pid)
            except (CarobError, OSError, OverflowError):
                continue  # not written yet, or no descriptor left: the clock will do
            if pidfd is None:
                continue
            try:
                began_s = start_time_s(pid)
            except OSError:
                os.close(pidfd)
                continue
            if has_ended(pidfd) or began_s is None or began_s > written_s + _CLOCK_SLACK_S:
                self._ended.add(pid)
                os.close(pidfd)
                continue
            self._pidfds[pid] = pidfd
            self._sleeper.add(pidfd)
        return bool(self._pidfds)

    def _reap(self) -> None:
        for pid in [pid for pid, pidfd in self._pidfds.items() if has_ended(pidfd)]:
            self._drop_process(pid)
            self._ended.add(pid)
            self._pause_s = _FIRST_PAUSE_S

    def _drop_processes(self) -> None:
        for pid in list(self._pidfds):
            self._drop_process(pid)

    def _drop_process(self, pid: int) -> None:
        pidfd = self._pidfds.pop(pid)
        self._sleeper.remove(pidfd)
        os.close(pidfd)


class PollSleeper:
    """Sleeps in poll(2)."""

    __slots__ = ("_bell", "_instance", "_poll")

    def __init__(self) -> None:
        self._poll = select.poll()
        self._bell = -1
        self._instance: inotify.Instance | None = None

    def add(self, fd: int) -> None:
        """Wakes up when ``fd`` is readable."""
        self._poll.register(fd, select.POLLIN)

    def remove(self, fd: int) -> None:
        """Does not any more."""
        self._poll.unregister(fd)

    def add_events(self, instance: inotify.Instance) -> None:
        """Reads the events of ``instance`` when there are any.

        A thread that is quicker takes them and rings the bell instead.
        """
        if self._bell < 0:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self.add(self._bell)
        if self._instance is None:
            self._instance = instance
            self.add(instance.fd)

    def remove_events(self) -> None:
        """Does not any more."""
        if self._instance is not None:
            self.remove(self._instance.fd)
            self._instance = None

    def wake(self) -> None:
        """Rings the bell."""
        if self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def sleep(self, pause_s: float) -> None:
        """Sleeps until something wakes it, ``pause_s`` seconds at most."""
        # Rounded up: poll counts milliseconds, and a zero would spin.
        for fd, _ in self._poll.poll(max(1, int(pause_s * 1000 + 0.999))):
            if fd == self._bell:
                os.eventfd_read(fd)
            elif self._instance is not None and fd == self._instance.fd:
                self._instance.dispatch()

    def close(self) -> None:
        """Closes the bell; nobody may ring it any more."""
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1


# How many waits of a loop read the events of the instance through it
_readers: dict[AbstractEventLoop, tuple[inotify.Instance, int]] = {}


class LoopSleeper:
    """Sleeps in an asyncio event loop."""

    __slots__ = ("_instance", "_loop", "_sleep", "_woken")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._sleep: Future[None] | None = None
        self._woken = False
        self._instance: inotify.Instance | None = None

    def add(self, fd: int) -> None:
        """Wakes up when ``fd`` is readable, once: it stays readable."""
        self._loop.add_reader(fd, self._readable, fd)

    def remove(self, fd: int) -> None:
        """Does not any more."""
        self._loop.remove_reader(fd)

    def add_events(self, instance: inotify.Instance) -> None:
        """Has the loop read the events of ``instance``, once for all its waits."""
        if self._instance is not None:
            return
        self._instance = instance
        _, count = _readers.get(self._loop, (instance, 0))
        _readers[self._loop] = (instance, count + 1)
        if count == 0:
            self._loop.add_reader(instance.fd, instance.dispatch)

    def remove_events(self) -> None:
        """Leaves it to the other waits of the loop; the last one takes the reader away."""
        if self._instance is None:
            return
        instance, count = _readers.pop(self._loop)
        if count > 1:
            _readers[self._loop] = (instance, count - 1)
        else:
            self._loop.remove_reader(instance.fd)
        self._instance = None

    def wake(self) -> None:
        """Ends the sleep, or the next one; from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return  # the loop is closed, and nobody waits

    def _readable(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        self._wake()

    def _wake(self) -> None:
        self._woken = True
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    async def sleep(self, pause_s: float) -> None:
        """Sleeps until something wakes it, ``pause_s`` seconds at most."""
        if not self._woken:
            self._sleep = self._loop.create_future()
            timer = self._loop.call_later(pause_s, self._wake)
            try:
                await self._sleep
            finally:
                timer.cancel()
                self._sleep = None
        self._woken = False

    def close(self) -> None:
        """Takes what it put into the loop out of it."""
        self.remove_events()
