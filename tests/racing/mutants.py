"""Workers in whose process the engine is broken on purpose: ``python -m tests.racing.mutants NAME TOP …``.

A race of these must be found wrong, or the races show nothing.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from carob import PodHandle, PodStatus
from carob.engine.end import stop
from carob.image.store import index
from carob.pod import State
from tests.racing import worker


def names_of_images_are_not_locked() -> None:
    """Two that give names to images overwrite each other's index."""

    @contextlib.contextmanager
    def hold_nothing(*_: object, **__: object) -> Iterator[None]:
        yield

    index.lock = hold_nothing  # type: ignore[assignment]


def a_status_is_remembered() -> None:
    """Whoever looks at a pod once more is told what he was told before."""
    told: dict[str, PodStatus] = {}
    look = PodHandle.status

    def look_once(pod: PodHandle) -> PodStatus:
        if pod.uuid not in told:
            told[pod.uuid] = look(pod)
        return told[pod.uuid]

    PodHandle.status = look_once  # type: ignore[method-assign]


def stop_does_not_wait() -> None:
    """Whoever stops a pod is told that it has ended before it has."""

    def wait_for_nothing(pod: Any, **_: object) -> State:
        return State.EXITED

    stop.wait_over = wait_for_nothing


MUTANTS: dict[str, tuple[Callable[[], None], tuple[int, ...]]] = {
    one.__name__: (one, weights)
    for one, weights in (
        (names_of_images_are_not_locked, (0, 0, 0, 1, 0)),
        (a_status_is_remembered, (1, 0, 0, 0, 0)),
        (stop_does_not_wait, (1, 0, 0, 0, 0)),
    )
}
"""By name, each with the verbs that show it (``verbs.WEIGHTS``)."""

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)][0]()
    worker.main()
