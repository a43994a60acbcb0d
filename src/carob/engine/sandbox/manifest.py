"""The manifest of a mutable pod, which says what its apps are, changed under its lock.

Whoever adds, starts or removes an app holds the lock meanwhile, so that racing callers take turns. A change
is one rename: before it the app was not there, or still is; after it the app is there, or no more. Init knows
all apps that the manifest names. What it knows besides, and what else is in the pod's directory, is left over
from somebody who was killed, and goes with the next change (``carob.engine.sandbox.leftovers``).
"""

from __future__ import annotations

from time import monotonic, sleep

from carob.engine.observe.status import annotation
from carob.errors import Conflict, CorruptData, NotFound, Unavailable
from carob.linux.files import read_file, replace_file
from carob.linux.flock import FileLock
from carob.pod import ImmutablePod, State, layout
from carob.pod.failure import failed
from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.pod import Pod

_PATIENCE_S = 60.0
_PAUSE_S = 0.001
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_ENDED = (State.EXITED, State.EXITED_GARBAGE)


class Manifest:
    """The manifest of an open pod; in a ``with`` block it is locked. ``running``: the pod is.

    Somebody else's lock is waited for as long as ``patience_s``.
    """

    __slots__ = ("_lock", "_patience_s", "_pod", "document", "running")

    def __init__(self, pod: Pod, *, patience_s: float = _PATIENCE_S) -> None:
        self._pod = pod
        self._patience_s = patience_s
        self._lock: FileLock | None = None
        self.document: dict[str, Any] = {}
        self.running = False

    def __enter__(self) -> Manifest:
        """Waits for the lock, and reads.

        Raises ``ImmutablePod``, ``Conflict`` for a pod that does not run yet, or is being deleted, and
        ``Unavailable`` where somebody holds the lock for ever (a caller that was stopped).
        """
        self.read()
        try:
            self._take_lock()
            self.running = self._pod.refresh() is State.RUNNING
            # One that has ended is held against being deleted meanwhile.
            held = self.running or (self._pod.state() in _ENDED and self._pod.try_shared_lock())
            if not held:
                raise Conflict(f"pod {self._pod.uuid} is {self._pod.state()}: its apps cannot be changed")
            self.read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self._pod.unlock()

    def _take_lock(self) -> None:
        try:
            self._lock = FileLock(layout.MANIFEST_LOCK, dir_fd=self._pod.fd(), file=True)
        except OSError as error:
            raise failed(error, f"cannot open {layout.MANIFEST_LOCK} of pod {self._pod.uuid}") from error
        given_up_at = monotonic() + self._patience_s
        while not self._lock.try_exclusive_lock():
            if monotonic() >= given_up_at:
                raise Unavailable(f"somebody else is changing the apps of pod {self._pod.uuid}")
            sleep(_PAUSE_S)

    def read(self) -> None:
        """Reads it anew; ``ImmutablePod`` for one that is fixed."""
        try:
            document = loads(read_file(layout.MANIFEST, dir_fd=self._pod.fd()))
        except OSError as error:
            raise failed(error, f"cannot read the manifest of pod {self._pod.uuid}") from error
        except ValueError as error:
            raise CorruptData(f"the manifest of pod {self._pod.uuid} is not JSON: {error}") from error
        if not isinstance(document, dict) or not is_mutable(document):
            raise ImmutablePod(
                f"pod {self._pod.uuid} is immutable: its apps were fixed when it was prepared",
                hint="carob app sandbox makes a pod whose apps come and go",
            )
        if not _is_whole(document):
            raise CorruptData(f"the manifest of pod {self._pod.uuid} is not whole: its apps make no sense")
        self.document = document

    def require_running(self) -> None:
        """Raises ``Conflict`` for a pod that does not run."""
        if not self.running:
            raise Conflict(f"pod {self._pod.uuid} is {self._pod.state()}: nothing of it runs")

    @property
    def names(self) -> list[str]:
        """The names of the apps."""
        return [str(app["name"]) for app in self.document["apps"]]

    def entry(self, name: str) -> dict[str, Any]:
        """What the manifest says of an app; ``NotFound``."""
        for app in self.document["apps"]:
            if app["name"] == name:
                found: dict[str, Any] = app
                return found
        hint = f"its apps: {', '.join(self.names) or 'none'}"
        raise NotFound(f"pod {self._pod.uuid} has no app {name!r}", hint=hint)

    def add(self, entry: dict[str, Any], volumes: list[dict[str, Any]]) -> None:
        """Adds an app and what its mounts need, from one moment to the next."""
        known = {volume["name"] for volume in self.document["volumes"]}
        self._replace(
            [*self.document["apps"], entry],
            [*self.document["volumes"], *[volume for volume in volumes if volume["name"] not in known]],
        )

    def remove(self, name: str) -> None:
        """Removes an app, and volumes that no other app mounts."""
        apps = [app for app in self.document["apps"] if app["name"] != name]
        used = {mount["volume"] for app in apps for mount in app.get("mounts") or ()}
        self._replace(apps, [volume for volume in self.document["volumes"] if volume["name"] in used])

    def _replace(self, apps: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
        # Not synced: a pod that runs has nothing to tell of after a power loss but that it has ended.
        changed = {**self.document, "apps": apps, "volumes": volumes}
        try:
            replace_file(layout.MANIFEST, dumps(changed).encode(), dir_fd=self._pod.fd())
        except OSError as error:
            raise failed(error, f"cannot replace the manifest of pod {self._pod.uuid}") from error
        self.document = changed


def _is_whole(document: dict[str, Any]) -> bool:
    """Whether it has what is changed here, in the form that it has in all manifests."""
    for key in ("apps", "volumes"):
        listed = document.get(key)
        if not isinstance(listed, list) or not all(
            isinstance(one, dict) and isinstance(one.get("name"), str) for one in listed
        ):
            return False
    return True


def is_mutable(document: dict[str, Any]) -> bool:
    """Whether a manifest says so."""
    return annotation(document, layout.MUTABLE_ANNOTATION) in _TRUE
