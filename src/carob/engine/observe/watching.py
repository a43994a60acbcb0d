"""Events of all pods, as they come.

What is told is what the directories say at a look, less what was told before. An event of inotify only
says when to look, so none that is lost, and no reader that is slow, makes a state be missed: a pod's
directory, and for a day the record of one that is gone, hold all that has happened to it.
"""

from __future__ import annotations

import os
from time import monotonic, time_ns

from carob.engine.failures import is_shortage
from carob.engine.observe import events, tombstone
from carob.engine.observe.views import pod_document
from carob.engine.request import inputs
from carob.errors import CarobError, NotFound
from carob.linux import inotify
from carob.pod import Directory, State, layout, open_pod, scan
from carob.pod.alarm import PollSleeper
from carob.pod.directory import directory_path, make_directories, pod_path
from carob.pod.identifier import fault_of
from carob.protocol import plan as plans
from carob.protocol import probing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from carob.engine.observe.events import Event
    from carob.pod.alarm import Sleeper

_LAST_NS = (1 << 63) - 1
_LOOK_AGAIN_S = 2.0
"""No event tells that a lock became free, as where both init and monitor of a pod were killed."""
_SOON_S = 0.01
_SUFFIX = ".json"
_TOLD_OF = frozenset(
    (
        State.ABORTED_PREPARE,
        State.PREPARED,
        State.RUNNING,
        State.EXITED,
        State.EXITED_DELETING,
        State.EXITED_GARBAGE,
    )
)


class _Known:
    """A pod that is there: what was told of it, and where it is watched.

    It ``appeared_ns`` then, or later: a pod counts as prepared from a moment before anybody can see it on,
    which may be long before, where its files had to be synced first.
    """

    __slots__ = ("appeared_ns", "apps", "is_over", "places", "seen_end", "state", "told", "watched")

    def __init__(self, appeared_ns: int) -> None:
        self.appeared_ns = appeared_ns
        self.told: set[tuple[str, str, int]] = set()
        self.apps: set[tuple[str, int | None]] = set()
        self.watched: set[tuple[str, int | None]] = set()
        self.places: list[inotify.Subscription] = []
        self.state = State.EMBRYO
        self.seen_end = False
        self.is_over = False


class Watcher:
    """For callers that wait in a way of their own; close it at the end.

    Over and over: ``take``, and ``arm``; where the one gave nothing and the other nothing new, sleep,
    ``pause_s`` at most. ``take`` may be called in another thread, one call at a time.
    """

    def __init__(self, data_dir: str, sleeper: Sleeper, *, since_ns: int | None = None) -> None:
        """From a time on, in nanoseconds since 1970; ``None`` is from now on."""
        self._data_dir = data_dir
        self._sleeper = sleeper
        self._since_ns = -1 if since_ns is None else since_ns
        self._silent = since_ns is None
        self._looked_ns = self._looking_ns = -1
        self._known: dict[str, _Known] = {}
        self._gone: set[str] = set()
        self._gone_seen_ns = -1
        self._directories: list[inotify.Subscription] = []
        self._unwatchable = False
        self._all_due = True
        self._due: set[str] = set()
        self._next_look_s = 0.0
        self._soon_s = _SOON_S

    # -- looking

    def take(self) -> list[Event]:
        """What has happened and was not told yet, in the order of time."""
        found: list[Event] = []
        looked = self._all_due or monotonic() >= self._next_look_s
        if looked:
            self._looked_ns, self._looking_ns = self._looking_ns, time_ns()
            self._all_due = False
            self._look_at_all(found)
        while self._due:
            self._look_at(self._due.pop(), found)
        self._plan_next_look(looked=looked)
        silent, self._silent = self._silent, False
        if silent:
            return []
        return events.in_order([event for event in found if self._is_since(event)])

    def _is_since(self, event: Event) -> bool:
        if event.kind == events.PREPARED and (known := self._known.get(event.uuid)) is not None:
            return max(event.time_ns, known.appeared_ns) >= self._since_ns
        return event.time_ns >= self._since_ns

    def _look_at_all(self, found: list[Event]) -> None:
        """Finds pods that are new, elsewhere or gone."""
        states = {uuid: state for uuid, state in scan(self._data_dir) if state in _TOLD_OF}
        for uuid, state in states.items():
            known = self._known.get(uuid)
            if known is None or known.state is not state:
                self._due.add(uuid)
        self._due.update(uuid for uuid in self._known if uuid not in states)
        for uuid in self._new_records():
            if uuid not in states and uuid not in self._known:
                self._bury(uuid, set(), found)

    def _look_at(self, uuid: str, found: list[Event]) -> None:
        from carob.engine.observe import status

        known = self._known.setdefault(uuid, _Known(self._looked_ns))
        try:
            with open_pod(self._data_dir, uuid) as pod:
                state = pod.refresh()
                if state not in _TOLD_OF:
                    raise NotFound(f"pod {uuid} is being taken away")
                read = status.read(pod)
                happened = events.of_open(pod, pod_document(read))
                if state is State.PREPARED:
                    # It was renamed then: nobody writes in it before it runs.
                    known.appeared_ns = os.fstat(pod.fd()).st_ctime_ns
        except NotFound:
            del self._known[uuid]
            _let_go(known)
            self._bury(uuid, known.told, found)
            return
        except (CarobError, OSError) as error:
            if is_shortage(error):
                raise
            return  # not for this user, or broken: a pod's trouble stays with it
        known.state = state
        known.seen_end = read.ended_ns is not None
        known.is_over = state not in (State.PREPARED, State.RUNNING)
        apps = {(app.name, app.created_ns) for app in read.apps}
        for app, _ in known.apps - apps:
            happened.append(events.Event(time_ns(), events.APP_REMOVED, uuid, read.name, app=app))
        known.apps = apps
        self._tell(happened, known.told, found)

    def _bury(self, uuid: str, told: set[tuple[str, str, int]], found: list[Event]) -> None:
        """Tells the rest of a pod that is gone: from its record or, where it left none, that it is."""
        if uuid in self._gone:
            return
        self._gone.add(uuid)
        record = events.of_removed(self._data_dir, uuid)
        if record is None and told:
            record = [events.Event(time_ns(), events.REMOVED, uuid, "")]
        self._tell(record or [], told, found)

    @staticmethod
    def _tell(happened: list[Event], told: set[tuple[str, str, int]], found: list[Event]) -> None:
        for event in happened:
            if event.key not in told:
                told.add(event.key)
                found.append(event)

    def _new_records(self) -> list[str]:
        """The pods whose records are there; those of before are forgotten once their records are."""
        path = os.path.join(self._data_dir, tombstone.DIRECTORY)
        try:
            changed_ns = os.stat(path).st_mtime_ns
            if changed_ns == self._gone_seen_ns:
                return []
            names = os.listdir(path)
        except FileNotFoundError:
            return []
        self._gone_seen_ns = changed_ns
        uuids = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
        uuids = [uuid for uuid in uuids if not fault_of(uuid)]
        self._gone.intersection_update(uuids)
        return [uuid for uuid in uuids if uuid not in self._gone]

    # -- being woken

    def arm(self) -> bool:
        """Watches what is not watched yet; whether there is any, which is then to be looked at once more."""
        self._unwatchable = False
        new = self._arm_directories()
        for uuid, known in self._known.items():
            if known.state is State.RUNNING and (not known.places or known.apps - known.watched):
                new = self._arm_pod(uuid, known) or new
            elif known.is_over and known.places:
                _let_go(known)
        return new

    def _arm_directories(self) -> bool:
        if self._directories:
            return False
        watched = (Directory.PREPARED, Directory.RUN, Directory.EXITED_GARBAGE, Directory.GARBAGE)
        for directory in watched:
            path = directory_path(self._data_dir, directory)
            self._directories += self._subscribe(path, [""], self._notice_all)
        self._all_due = bool(self._directories)
        return self._all_due

    def _arm_pod(self, uuid: str, known: _Known) -> bool:
        """Watches what the pod as a whole writes, its manifest, and what of each app is written."""
        path = pod_path(self._data_dir, Directory.RUN, uuid)

        def notice() -> None:
            self._due.add(uuid)
            self._sleeper.wake()

        if not known.places:
            known.watched = set()
            end = os.path.basename(plans.END)
            known.places += self._subscribe(f"{path}/{plans.DIRECTORY}", [end], notice)
            known.places += self._subscribe(path, [layout.MANIFEST], notice)
        new, known.watched = known.apps - known.watched, set(known.apps)
        for app, _ in new:
            names = (plans.start_mark, plans.exit_record, probing.note)
            files = [os.path.basename(name(app)) for name in names]
            known.places += self._subscribe(f"{path}/{plans.bundle_directory(app)}", files, notice)
        if known.places:
            self._due.add(uuid)
        return bool(known.places)

    def _subscribe(
        self, path: str, names: list[str], notice: Callable[[], object]
    ) -> list[inotify.Subscription]:
        made: list[inotify.Subscription] = []
        try:
            for name in names:
                made.append(inotify.subscribe(path, name, notice))
            self._sleeper.add_events(inotify.instance_of(made[-1]))
        except OSError:
            self._unwatchable = True  # gone again, or no watch left: the clock will do
            for one in made:
                inotify.unsubscribe(one)
            return []
        return made

    def _notice_all(self) -> None:
        self._all_due = True
        self._sleeper.wake()

    @property
    def pause_s(self) -> float:
        """How long to sleep at most before the next look."""
        return max(0.0, self._next_look_s - monotonic())

    def _plan_next_look(self, *, looked: bool) -> None:
        """A pod that says it has ended lets go of its lock in a moment, which nothing tells of."""
        ending = any(known.seen_end and known.state is State.RUNNING for known in self._known.values())
        now_s = monotonic()
        if looked:
            self._soon_s = min(self._soon_s * 1.5, _LOOK_AGAIN_S)
            self._next_look_s = now_s + _LOOK_AGAIN_S
        if ending or self._unwatchable:
            self._next_look_s = min(self._next_look_s, now_s + self._soon_s)
        else:
            self._soon_s = _SOON_S

    def close(self) -> None:
        """Watches nothing any more."""
        self._sleeper.remove_events()
        for known in self._known.values():
            _let_go(known)
        for subscription in self._directories:
            inotify.unsubscribe(subscription)
        self._directories = []
        self._sleeper.close()


def _let_go(known: _Known) -> None:
    for subscription in known.places:
        inotify.unsubscribe(subscription)
    known.places = []


def checked_since_ns(since_ns: int | None) -> int | None:
    """A time in nanoseconds since 1970. Raises ``InvalidInput``."""
    return None if since_ns is None else inputs.whole(since_ns, "since_ns", 0, _LAST_NS)


def begin(data_dir: str, sleeper: Sleeper, since_ns: int | None) -> Watcher:
    """A watcher of a data directory, which is made where it is not there."""
    make_directories(data_dir)
    return Watcher(data_dir, sleeper, since_ns=since_ns)


def follow(data_dir: str, *, since_ns: int | None, until_now: bool) -> Iterator[Event]:
    """Events from a time on or, without one, from now on. ``until_now``: ends with what has happened."""
    sleeper = PollSleeper()
    watcher = begin(data_dir, sleeper, since_ns)
    try:
        while True:
            found = watcher.take()
            yield from found
            if until_now:
                return
            if not watcher.arm() and not found:
                sleeper.sleep(watcher.pause_s)
    finally:
        watcher.close()
