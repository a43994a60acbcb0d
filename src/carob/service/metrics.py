"""What a service counts of its calls, and the text that Prometheus reads (its exposition format 0.0.4).

Everything else that is told there is looked up when it is asked for.
"""

from __future__ import annotations

from bisect import bisect_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Labels = tuple[tuple[str, str], ...]
    Sample = tuple[Labels, float]

_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class CallMetrics:
    """Calls that have ended, by method and status, how long each took, and the streams open now.

    For one thread: the service's loop.
    """

    __slots__ = ("_buckets", "_ended", "_seconds", "open_streams")

    def __init__(self) -> None:
        self.open_streams = 0
        self._ended: dict[tuple[str, str], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def ended(self, method: str, status: str, seconds: float) -> None:
        """One more."""
        self._ended[method, status] = self._ended.get((method, status), 0) + 1
        buckets = self._buckets.setdefault(method, [0] * (len(_BOUNDS_S) + 1))
        buckets[bisect_left(_BOUNDS_S, seconds)] += 1
        self._seconds[method] = self._seconds.get(method, 0.0) + seconds

    def text(self) -> str:
        """As Prometheus reads it."""
        counts = [
            ((("method", method), ("status", status)), float(count))
            for (method, status), count in sorted(self._ended.items())
        ]
        return (
            family("carob_api_calls_total", "counter", "Calls that have ended.", counts)
            + self._durations()
            + family("carob_api_open_streams", "gauge", "Streams open now.", [((), self.open_streams)])
        )

    def _durations(self) -> str:
        name = "carob_api_call_seconds"
        lines = [_head(name, "histogram", "How long calls took; streams until their end.")]
        for method, buckets in sorted(self._buckets.items()):
            labels: Labels = (("method", method),)
            total = 0
            for bound, count in zip((*_BOUNDS_S, float("inf")), buckets, strict=True):
                total += count
                edge = "+Inf" if bound == float("inf") else f"{bound:g}"
                lines.append(_line(f"{name}_bucket", (*labels, ("le", edge)), total))
            lines.append(_line(f"{name}_sum", labels, self._seconds[method]))
            lines.append(_line(f"{name}_count", labels, total))
        return "".join(lines)


def pods_text(states: Mapping[str, int]) -> str:
    """How many pods there are in each state."""
    samples = [((("state", state),), float(count)) for state, count in sorted(states.items())]
    return family("carob_pods", "gauge", "Pods by state.", samples)


def images_text(bytes_by_kind: Mapping[str, int], count: int) -> str:
    """How many images there are, and the disk that they take."""
    samples = [((("kind", kind),), float(size)) for kind, size in sorted(bytes_by_kind.items())]
    return family("carob_images", "gauge", "Images in the store.", [((), count)]) + family(
        "carob_images_disk_bytes", "gauge", "Disk that images take, shared parts once.", samples
    )


def family(name: str, kind: str, help_text: str, samples: Iterable[Sample]) -> str:
    """One metric with all its samples."""
    return _head(name, kind, help_text) + "".join([_line(name, labels, value) for labels, value in samples])


def _head(name: str, kind: str, help_text: str) -> str:
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"


def _line(name: str, labels: Labels, value: float) -> str:
    inner = ",".join([f'{key}="{_escaped(text)}"' for key, text in labels])
    return f"{name}{{{inner}}} {value:.17g}\n" if inner else f"{name} {value:.17g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
