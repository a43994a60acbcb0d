"""How far a fetch is: one small value a layer, a few times a second."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Sequence

from carob.spec.oci.descriptor import Descriptor

INTERVAL_S = 0.1
"""The least time between two events of one layer in one phase."""


class Phase(enum.Enum):
    """What happens to a layer; the values are words for people."""

    WAITING = "waiting"
    VERIFYING = "verifying"
    """The part that an interrupted fetch left is read again."""
    DOWNLOADING = "downloading"
    """It is unpacked at the same time, as its bytes come."""
    UNPACKING = "unpacking"
    """All bytes are there."""
    DONE = "done"
    SHARED = "shared"
    """It was there already."""


class LayerProgress:
    """One layer of a fetch, at one moment.

    ``position`` counts from 0, the bottom, and ``layers`` is how many there are; ``digest`` is the blob's;
    ``done_bytes`` of its ``size_bytes`` are there. Layers of the same blob are told of one by one.
    """

    __slots__ = ("digest", "done_bytes", "layers", "phase", "position", "size_bytes")

    def __init__(
        self, position: int, layers: int, digest: str, size_bytes: int, done_bytes: int, phase: Phase
    ) -> None:
        self.position = position
        self.layers = layers
        self.digest = digest
        self.size_bytes = size_bytes
        self.done_bytes = done_bytes
        self.phase = phase

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LayerProgress):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"LayerProgress({self.position + 1}/{self.layers} {self.digest[:19]} {self.phase.value} "
            f"{self.done_bytes}/{self.size_bytes})"
        )


Callback = Callable[[LayerProgress], object]


class Progress:
    """Tells ``callback`` of the layers of one fetch: from several threads, but one call at a time.

    What the callback raises ends the fetch.
    """

    def __init__(self, layers: Sequence[Descriptor], callback: Callback | None) -> None:
        self._layers = layers
        self._callback = callback
        self._lock = threading.Lock()
        self._done_bytes = [0] * len(layers)
        self._phases = [Phase.WAITING] * len(layers)
        self._told_at = [0.0] * len(layers)

    def begin(self) -> None:
        """Tells of every layer, waiting, from the bottom up."""
        if self._callback is not None:
            for position in range(len(self._layers)):
                with self._lock:
                    self._tell(position)

    def enter(self, position: int, phase: Phase) -> None:
        """A layer is in another phase now. Once it is done, or shared, it stays so."""
        with self._lock:
            if self._phases[position] in (phase, Phase.DONE, Phase.SHARED):
                return
            self._phases[position] = phase
            if phase in (Phase.UNPACKING, Phase.DONE, Phase.SHARED):
                self._done_bytes[position] = self._layers[position].size_bytes
            self._tell(position)

    def reach(self, position: int, done_bytes: int) -> None:
        """So many bytes of a layer are there."""
        self._done_bytes[position] = done_bytes
        if self._callback is None or time.monotonic() - self._told_at[position] < INTERVAL_S:
            return
        with self._lock:
            self._tell(position)

    def _tell(self, position: int) -> None:
        if self._callback is None:
            return
        self._told_at[position] = time.monotonic()
        layer = self._layers[position]
        self._callback(
            LayerProgress(
                position,
                len(self._layers),
                layer.digest,
                layer.size_bytes,
                self._done_bytes[position],
                self._phases[position],
            )
        )
