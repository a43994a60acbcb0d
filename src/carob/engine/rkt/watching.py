"""Images coming and going, as they do.

As with pods (``carob.engine.observe.watching``): what is told is what the store has at a look, less what it
had at the one before. Events of inotify only say when to look.
"""

from __future__ import annotations

import time

from carob.engine.failures import is_shortage
from carob.engine.rkt import images as rkt_images
from carob.errors import CarobError
from carob.linux import inotify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod.alarm import Sleeper

_LOOK_AGAIN_S = 2.0
"""Where nothing can be watched: there may be no image yet, and so no store."""
_WATCHED_LOOK_S = 60.0
_INDEX = "index.json"


class ImageEvent:
    """An image that came (``imported``) or went, at ``time_ns``, nanoseconds since 1970.

    ``image_id`` is appc's (``carob.engine.rkt.images``), ``name`` the first of its names.
    """

    __slots__ = ("image_id", "imported", "name", "time_ns")

    def __init__(self, time_ns: int, image_id: str, name: str, *, imported: bool) -> None:
        self.time_ns = time_ns
        self.image_id = image_id
        self.name = name
        self.imported = imported

    def __repr__(self) -> str:
        return f"ImageEvent({self.time_ns}, {self.image_id!r}, imported={self.imported})"


class ImageWatcher:
    """For callers that wait in a way of their own, as ``observe.watching.Watcher``; close it at the end.

    From ``since_ns`` on, ``None`` is from now on. What was removed before now is not known.
    """

    def __init__(self, data_dir: str, sleeper: Sleeper, *, since_ns: int | None = None) -> None:
        self._data_dir = data_dir
        self._sleeper = sleeper
        self._since_ns = since_ns
        self._known: dict[str, tuple[str, float]] | None = None
        self._subscription: inotify.Subscription | None = None

    def take(self) -> list[ImageEvent]:
        """What has happened and was not told yet, in the order of time."""
        try:
            now = rkt_images.names_by_id(self._data_dir)
        except CarobError as error:
            if is_shortage(error):
                raise
            return []  # an index that is broken for now tells of nothing
        known, self._known = self._known, now
        if known is None:
            return self._before_the_first_look(now)
        moment_ns = time.time_ns()
        went = [
            ImageEvent(moment_ns, image_id, name, imported=False)
            for image_id, (name, _) in known.items()
            if image_id not in now
        ]
        came = [
            ImageEvent(moment_ns, image_id, name, imported=True)
            for image_id, (name, _) in now.items()
            if image_id not in known
        ]
        return went + came

    def _before_the_first_look(self, now: dict[str, tuple[str, float]]) -> list[ImageEvent]:
        if self._since_ns is None:
            return []
        found = [
            ImageEvent(int(imported_s * 1e9), image_id, name, imported=True)
            for image_id, (name, imported_s) in now.items()
            if imported_s * 1e9 >= self._since_ns
        ]
        return sorted(found, key=lambda event: event.time_ns)

    def arm(self) -> bool:
        """Watches the store where that is there and not watched yet; whether to look once more."""
        if self._subscription is not None:
            return False
        try:
            made = inotify.subscribe(f"{self._data_dir}/images", _INDEX, self._sleeper.wake)
        except OSError:
            return False  # no store yet, or no watch left: the clock will do
        try:
            self._sleeper.add_events(inotify.instance_of(made))
        except OSError:
            inotify.unsubscribe(made)
            return False
        self._subscription = made
        return True

    @property
    def pause_s(self) -> float:
        """How long to sleep at most before the next look."""
        return _LOOK_AGAIN_S if self._subscription is None else _WATCHED_LOOK_S

    def close(self) -> None:
        """Watches nothing any more."""
        self._sleeper.remove_events()
        if self._subscription is not None:
            inotify.unsubscribe(self._subscription)
            self._subscription = None
        self._sleeper.close()
