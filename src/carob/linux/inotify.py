"""Events of directories (inotify(7)), with one instance for the whole process.

A user has 128 instances by default, and waits come by the thousand: all of them share one, made for
the first and closed after the last. Whoever waits polls its descriptor; whoever wakes first reads and
tells the others. An event is a hint to look again, never the truth.
"""

from __future__ import annotations

import os
from _thread import RLock

from carob.linux.syscall import SYS_INOTIFY_ADD_WATCH, SYS_INOTIFY_INIT1, SYS_INOTIFY_RM_WATCH, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

IN_CLOSE_WRITE = 0x008
IN_MOVED_FROM = 0x040
IN_MOVED_TO = 0x080
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x1000000
ANY = b""
"""The name in a subscription to all of a directory."""

# One mask for all watches: a second watch of a directory would replace the first one's mask.
_MASK = (
    IN_CLOSE_WRITE
    | IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_CREATE
    | IN_DELETE
    | IN_DELETE_SELF
    | IN_MOVE_SELF
    | IN_ONLYDIR
)
_ABOUT_THE_DIRECTORY = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED
_HEADER_BYTES = 16
_READ_BYTES = 1 << 16


class Subscription:
    """That ``notify`` is called for events of one name in one directory, until ``unsubscribe``."""

    __slots__ = ("_instance", "_name", "_notify", "_watch")

    def __init__(self, instance: Instance, watch: int, name: bytes, notify: Callable[[], object]) -> None:
        self._instance = instance
        self._watch = watch
        self._name = name
        self._notify = notify


class Instance:
    """The shared instance. ``fd`` is readable when events wait for ``dispatch``."""

    __slots__ = ("_by_watch", "_count", "fd")

    def __init__(self) -> None:
        self.fd = syscall(SYS_INOTIFY_INIT1, os.O_CLOEXEC | os.O_NONBLOCK)
        self._count = 0
        self._by_watch: dict[int, dict[bytes, list[Subscription]]] = {}

    def dispatch(self) -> None:
        """Reads what has come and notifies whom it concerns. Never waits."""
        with _guard:
            while self.fd >= 0:
                try:
                    events = os.read(self.fd, _READ_BYTES)
                except BlockingIOError:
                    return
                for watch, mask, name in parse_events(events):
                    self._notify(watch, mask, name)

    def _notify(self, watch: int, mask: int, name: bytes) -> None:
        lost = mask & IN_Q_OVERFLOW
        for names in list(self._by_watch.values()) if lost else [self._by_watch.get(watch, {})]:
            if lost or mask & _ABOUT_THE_DIRECTORY:
                subscriptions = [one for several in names.values() for one in several]
            else:
                subscriptions = [*names.get(name, ()), *names.get(ANY, ())]
            for subscription in subscriptions:
                subscription._notify()
        if mask & IN_IGNORED:
            self._by_watch.pop(watch, None)


_guard = RLock()
_shared: Instance | None = None


def parse_events(raw: bytes) -> list[tuple[int, int, bytes]]:
    """The events in ``raw``, each as its watch, mask and name."""
    events = []
    at = 0
    while at < len(raw):
        watch = int.from_bytes(raw[at : at + 4], "little", signed=True)
        mask = int.from_bytes(raw[at + 4 : at + 8], "little")
        length = int.from_bytes(raw[at + 12 : at + 16], "little")
        name = raw[at + _HEADER_BYTES : at + _HEADER_BYTES + length].rstrip(b"\0")
        events.append((watch, mask, name))
        at += _HEADER_BYTES + length
    return events


def subscribe(directory: str, name: str, notify: Callable[[], object]) -> Subscription:
    """Has ``notify`` called when something happens to ``name`` in ``directory``, or to the directory.

    With ``""`` for the name, when something happens to any.

    It is called by whichever thread reads the events, must be quick and must not raise. Raises
    ``OSError``: ENOENT, ENOTDIR; EMFILE and ENOSPC where the user has no instance or watch left.
    """
    global _shared
    with _guard:
        instance = _shared
        if instance is None:
            instance = Instance()
        try:
            watch = syscall(SYS_INOTIFY_ADD_WATCH, instance.fd, directory, _MASK, path=directory)
        except OSError:
            if _shared is None:
                os.close(instance.fd)
            raise
        _shared = instance
        subscription = Subscription(instance, watch, os.fsencode(name), notify)
        names = instance._by_watch.setdefault(watch, {})
        names.setdefault(subscription._name, []).append(subscription)
        instance._count += 1
        return subscription


def unsubscribe(subscription: Subscription) -> None:
    """Ends a subscription; ``notify`` is not called after that. The last one closes the instance."""
    global _shared
    with _guard:
        instance = subscription._instance
        if instance is not _shared:
            return  # made before a fork
        names = instance._by_watch.get(subscription._watch, {})
        several = names.get(subscription._name, [])
        if subscription in several:
            several.remove(subscription)
            if not several:
                del names[subscription._name]
            if not names:
                del instance._by_watch[subscription._watch]
                _remove_watch(instance.fd, subscription._watch)
        instance._count -= 1
        if instance._count == 0:
            os.close(instance.fd)
            instance.fd = -1
            _shared = None


def _remove_watch(fd: int, watch: int) -> None:
    try:
        syscall(SYS_INOTIFY_RM_WATCH, fd, watch)
    except OSError:
        return  # its directory is gone, and the watch with it


def instance_of(subscription: Subscription) -> Instance:
    """The instance whose descriptor is to be polled for this subscription."""
    return subscription._instance


def _after_fork_in_child() -> None:
    """The child shares the parent's instance, and would take its events: it gets none until it waits."""
    global _guard, _shared
    # The guard may have been held by a thread that is not here.
    _guard = RLock()
    if _shared is not None:
        os.close(_shared.fd)
        _shared.fd = -1
        _shared = None


os.register_at_fork(after_in_child=_after_fork_in_child)
