"""What follows from the results of an app's probes: what is tried next, who is ready, who is unfit. Pure.

As in Kubernetes: a probe begins ``delay_s`` after its app and is tried every ``period_s``; so many results of
a kind in a row (``successes``, ``failures``) change what it says. Until the start-up probe has passed nothing
else is tried. An app whose start-up or liveness probe fails is unfit, and is to be ended.

Two things are finer than there. Before a start-up or readiness probe has ever passed it is tried again sooner
than after its period, first after 0.1 s, then after twice that and so on, so that who waits learns soon; a
start has its ``failures`` times ``period_s`` all the same, as failures within one period count as one. And a
probe of which nobody could tell how it went changes nothing.

Times are on a monotonic clock (s).
"""

from __future__ import annotations

from carob.protocol.probing import LIVENESS, READINESS, ROLES, STARTUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FIRST_PAUSE_S = 0.1
_MOST_DOUBLINGS = 30


class Probe:
    """One probe in one run of its app. ``passing`` is ``None`` until its results say the one or the other."""

    __slots__ = (
        "_begun_at", "_counted_at", "_eager", "_failures", "_period_s", "_row", "_successes", "_tries",
        "due_at", "last", "passing",
    )  # fmt: skip

    def __init__(self, role: str, plan: Mapping[str, Any], started_at: float) -> None:
        self._period_s: float = plan["period_s"]
        self._successes: int = plan["successes"]
        self._failures: int = plan["failures"]
        self._eager = role != LIVENESS
        self._begun_at = 0.0
        self._counted_at: float | None = None
        self._row = 0
        self._tries = 0
        self.due_at: float | None = started_at + plan["delay_s"]
        self.passing: bool | None = None
        self.last: bool | None = None

    def begin(self, now: float) -> None:
        """It is being tried; it is not due until that is over."""
        self._begun_at = now
        self.due_at = None

    def take(self, ok: bool | None, now: float) -> None:
        """How it went; ``None`` where nobody could tell."""
        if ok is not None and (ok or self._counts()):
            self._row = 1 if ok is not self.last else self._row + 1
            if not ok:
                self._counted_at = self._begun_at
            if self._row >= (self._successes if ok else self._failures):
                self.passing = ok
        if ok is not None:
            self.last = ok
        if ok:
            self._eager = False
        self.due_at = max(now, self._begun_at + self._pause_s())

    def _counts(self) -> bool:
        """Whether a failure is the first one within a period."""
        counted_at = self._counted_at
        return counted_at is None or not self._eager or self._begun_at >= counted_at + self._period_s

    def _pause_s(self) -> float:
        if not self._eager:
            return self._period_s
        self._tries += 1
        return min(self._period_s, FIRST_PAUSE_S * (1 << min(self._tries - 1, _MOST_DOUBLINGS)))

    def put_off(self, by_s: float, now: float) -> None:
        """Nothing of it happened for a while; what was being tried then is tried again."""
        self.due_at = now if self.due_at is None else self.due_at + by_s
        if self._counted_at is not None:
            self._counted_at += by_s


class Run:
    """The probes of one run of an app. ``unfit`` names the one that says so, or is ``""``."""

    __slots__ = ("_paused_at", "probes", "started", "unfit")

    def __init__(self, plans: Mapping[str, Mapping[str, Any]], started_at: float) -> None:
        self.probes = {role: Probe(role, plans[role], started_at) for role in ROLES if role in plans}
        self.started = STARTUP not in self.probes
        self.unfit = ""
        self._paused_at: float | None = None

    @property
    def ready(self) -> bool:
        """Whether others may count on the app."""
        readiness = self.probes.get(READINESS)
        return self.started and not self.unfit and (readiness is None or readiness.passing is True)

    @property
    def paused(self) -> bool:
        """Whether nothing is tried because the app stands still."""
        return self._paused_at is not None

    def _tried(self) -> list[str]:
        """Those whose turn it is."""
        if self.unfit or self.paused:
            return []
        if not self.started:
            return [STARTUP]
        return [role for role in self.probes if role != STARTUP]

    def due(self, now: float) -> list[str]:
        """Those to be tried now."""
        return [role for role in self._tried() if (at := self.probes[role].due_at) is not None and at <= now]

    def due_at(self) -> float | None:
        """When the next one is, as far as is known."""
        moments = [at for role in self._tried() if (at := self.probes[role].due_at) is not None]
        return min(moments, default=None)

    def take(self, role: str, ok: bool | None, now: float) -> None:
        """How a try of a probe went."""
        probe = self.probes[role]
        probe.take(ok, now)
        if role == STARTUP and probe.passing:
            self.started = True
        elif role != READINESS and probe.passing is False:
            self.unfit = role

    def pause(self, now: float) -> None:
        """The app stands still: nothing is tried, and no time passes."""
        self._paused_at = now

    def resume(self, now: float) -> None:
        """It goes on."""
        if self._paused_at is not None:
            for probe in self.probes.values():
                probe.put_off(now - self._paused_at, now)
            self._paused_at = None
