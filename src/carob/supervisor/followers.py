"""Who follows the pod's logs is woken through a pipe: a byte after each write to a log.

inotify would cost init nothing, and a follower 6 to 14 ms: so long the kernel takes to close an instance.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.supervisor.init import Init

MOST = 2048


class Followers:
    """The writing ends of their pipes. A full one wakes as well; one without a reader is closed."""

    __slots__ = ("_init", "_pipes")

    def __init__(self, init: Init) -> None:
        self._init = init
        self._pipes: list[int] = []

    def __len__(self) -> int:
        return len(self._pipes)

    def add(self, pipe: int) -> None:
        """Takes over the writing end of a pipe, and wakes its reader for what came before."""
        os.set_blocking(pipe, False)
        self._pipes.append(pipe)
        self._init.watch(pipe, lambda: self._drop(pipe))  # there is an event when its reader is gone
        _wake(pipe)

    def wake(self) -> None:
        """Something was written."""
        for pipe in self._pipes:
            _wake(pipe)

    def remove(self, pipe: int) -> None:
        """Lets go of a pipe that may be gone by itself already."""
        if pipe in self._pipes:
            self._drop(pipe)

    def _drop(self, pipe: int) -> None:
        self._pipes.remove(pipe)
        self._init.forget(pipe)
        os.close(pipe)


def _wake(pipe: int) -> None:
    try:
        os.write(pipe, b"\n")
    except OSError:
        return
