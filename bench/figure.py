"""What a measurement gives: a figure with its peer's and its target, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median, quantiles

BACK_TO_BACK = "back to back"
GAPS = "80 ms gaps"


@dataclass(frozen=True, slots=True)
class Sample:
    """Measured values, all in one unit, in the order in which they were taken."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile; of one value, that value twice."""
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        first, _, third = quantiles(self.values, n=4, method="inclusive")
        return first, third

    def document(self) -> dict[str, object]:
        first, third = self.quartiles
        return {
            "median": self.median,
            "quartiles": [first, third],
            "min": min(self.values),
            "max": max(self.values),
            "samples": list(self.values),
        }


@dataclass(frozen=True, slots=True)
class Target:
    """Upper bounds: of ours divided by the peer's, of ours in the figure's own unit, or of both."""

    ratio: float | None = None
    value: float | None = None

    def text(self, unit: str) -> str:
        parts = []
        if self.ratio is not None:
            # A ratio below one is told as the fraction that it is: a quarter, a sixth, 1/1.5.
            small = self.ratio < 1
            parts.append(f"≤ 1/{round(1 / self.ratio, 2):g}" if small else f"≤ {self.ratio:g} x")
        if self.value is not None:
            parts.append(f"≤ {self.value:g} {unit}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    ours: Sample
    mode: str = ""
    unit: str = "ms"
    peer: str = ""
    theirs: Sample | None = None
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Our median divided by the peer's."""
        return None if self.theirs is None else self.ours.median / self.theirs.median

    @property
    def ratio_spread(self) -> tuple[float, float] | None:
        """The quartiles of the ratios of the pairs, where the two were measured in turn."""
        if self.theirs is None or len(self.theirs.values) != len(self.ours.values):
            return None
        pairs = zip(self.ours.values, self.theirs.values, strict=True)
        return Sample(tuple(ours / theirs for ours, theirs in pairs)).quartiles

    @property
    def met(self) -> bool | None:
        """Whether the target is met; ``None`` where there is none, or nothing to compare with."""
        if self.target is None:
            return None
        if self.target.ratio is not None and self.ratio is None:
            return None
        ratio_met = self.target.ratio is None or (self.ratio or 0.0) <= self.target.ratio
        return ratio_met and (self.target.value is None or self.ours.median <= self.target.value)

    def document(self) -> dict[str, object]:
        return {
            "what": self.what,
            "mode": self.mode,
            "unit": self.unit,
            "ours": self.ours.document(),
            "peer": self.peer or None,
            "theirs": self.theirs.document() if self.theirs else None,
            "ratio": self.ratio,
            "ratio_quartiles": self.ratio_spread,
            "target": self.target.text(self.unit) if self.target else None,
            "met": self.met,
            "note": self.note or None,
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A figure that could not be taken here, and why."""

    what: str
    reason: str

    def document(self) -> dict[str, object]:
        return {"what": self.what, "reason": self.reason}


class Unmeasurable(Exception):
    """Raised where something needed is missing; the message is the reason that the table gives."""


@dataclass(slots=True)
class Results:
    """All that one run found, and on what."""

    machine: dict[str, object]
    figures: list[Figure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def document(self) -> dict[str, object]:
        return {
            "version": 1,
            "machine": self.machine,
            "figures": [figure.document() for figure in self.figures],
            "skipped": [one.document() for one in self.skipped],
        }
