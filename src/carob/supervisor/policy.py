"""What becomes of a pod's apps: which start next, which again, and when the pod is over. Pure, no I/O.

An app goes ``created`` → ``starting`` → ``running`` → ``ended``, from ``running`` (``paused`` meanwhile) or
``starting`` back through ``waiting`` to ``starting`` where it is to run again, and from ``ended`` likewise
where somebody asks for it. Three roles: ``init`` apps run one after the other, each to its end, before all
others; ``sidecar`` apps are started before the ``main`` ones and stopped after them.
"""

from __future__ import annotations

from carob.protocol import life

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Protocol

    class Fate(Protocol):
        """What is to be known of an app to decide on its pod."""

        name: str
        role: str
        state: str
        end: dict[str, Any] | None
        started_ns: int | None
        asked: bool


FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 60.0
GOOD_RUN_S = 10.0

_DOUBLINGS = 10


def failed(end: dict[str, Any]) -> bool:
    """Whether an app's end counts as a failure: anything but exit code 0."""
    return not (end["end"] == "exited" and end["code"] == 0)


class Restart:
    """Whether an app runs again: ``when`` it ended how, at ``most`` so often (``None``: without limit)."""

    __slots__ = ("most", "when")

    def __init__(self, when: str, most: int | None) -> None:
        self.when = when
        self.most = most

    def wants(self, end: dict[str, Any], role: str, restarts: int, *, unfit: bool = False) -> bool:
        """Whether it does after this end. An init app that ended well is done, whatever was asked; one that
        was ended as ``unfit`` has not ended well, whatever it says.
        """
        well = not failed(end) and not unfit
        if self.when == life.NEVER or (well and (self.when == life.ON_FAILURE or role == life.INIT)):
            return False
        return self.most is None or restarts < self.most


def delay_s(streak: int) -> float:
    """The pause before a restart after so many others without a good run between: 0.1 s, 0.2 s, … 60 s."""
    return min(FIRST_DELAY_S * (1 << min(streak, _DOUBLINGS)), LONGEST_DELAY_S)


def next_to_start(apps: Iterable[Fate]) -> Sequence[Fate]:
    """The apps whose turn it is to be started for the first time."""
    every = list(apps)
    for app in every:
        if app.role == life.INIT and not (
            app.state == life.ENDED and app.end is not None and not failed(app.end)
        ):
            return [app] if app.state == life.CREATED else []
    for role in (life.SIDECAR, life.MAIN):
        of_role = [app for app in every if app.role == role]
        due = [app for app in of_role if app.state == life.CREATED]
        if due or any(app.started_ns is None and app.state != life.ENDED for app in of_role):
            return due
    return []


def verdict(apps: Iterable[Fate]) -> tuple[str, str] | None:
    """Why the pod is to be stopped now: (outcome, reason); ``None`` where it goes on, or is over by itself.

    An immutable pod is as soon as an app has failed for good while another is left, and when nothing but
    sidecars is left. Ends that were asked for are no failures.
    """
    every = list(apps)
    if all(app.state == life.ENDED for app in every):
        return None
    if bad := failure(every):
        return "app failed", f"app {bad} failed"
    if all(app.state == life.ENDED for app in every if app.role != life.SIDECAR):
        return "finished", ""
    return None


def failure(apps: Iterable[Fate]) -> str:
    """The name of the first app that has failed for good, unasked; ``""`` where none has."""
    for app in apps:
        if app.state == life.ENDED and app.end is not None and not app.asked and failed(app.end):
            return app.name
    return ""


def to_stop(apps: Iterable[Fate]) -> Sequence[Fate]:
    """Of the apps that are not over, those to be ended now: sidecars are only once no other is left."""
    alive = [app for app in apps if app.state != life.ENDED]
    return [app for app in alive if app.role != life.SIDECAR] or alive


def signal_would_be_lost(status: bytes, number: int) -> bool:
    """Whether a signal to a process that is PID 1 of its own namespace is dropped, unasked for.

    The kernel drops signals that such a process neither catches nor blocks (pid_namespaces(7)). One that is
    ignored on purpose is not meant: who does that may want the grace. ``status`` is what
    ``/proc/<pid>/status`` holds.
    """
    masks = {b"SigBlk": 0, b"SigCgt": 0, b"SigIgn": 0}
    for line in status.splitlines():
        key, _, value = line.partition(b":")
        if key == b"NSpid" and value.split()[-1] != b"1":
            return False
        if key in masks:
            masks[key] = int(value, 16)
    bit = 1 << (number - 1)
    return not (masks[b"SigBlk"] | masks[b"SigCgt"] | masks[b"SigIgn"]) & bit
