"""Signals while a pod runs in the foreground: they reach its apps as their stop signal.

SIGINT, SIGTERM and SIGHUP ask the pod to stop. A SIGINT after that has the apps killed, whose end is then
still seen and recorded; one more kills init, and all with it. ``_signal`` is used and not
``signal``, whose enums cost 2 ms.
"""

from __future__ import annotations

import _signal
import _thread

from carob.cli.output import say, say_error
from carob.errors import CarobError, Conflict, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from carob.engine.handle import PodHandle

_SIGHUP, _SIGINT, _SIGTERM = 1, 2, 15


class Interrupted(Exception):
    """The user gave up waiting for a pod to start."""


class Interrupts:
    """In a ``with`` block, what the three signals do; one that was ignored before stays so.

    ``patient``: until ``started`` is called, the first signal is kept for then and a second SIGINT raises
    ``Interrupted``; else the first one does.
    """

    def __init__(self, *, patient: bool) -> None:
        self.stopping = False
        self._killing = False
        self._patient = patient
        self._handle: PodHandle | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupts:
        for number in (_SIGHUP, _SIGINT, _SIGTERM):
            if _signal.getsignal(number) not in (_signal.SIG_IGN, None):
                self._before[number] = _signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            _signal.signal(number, handler)

    def started(self, handle: PodHandle) -> None:
        """From now on signals go to this pod; one that came before does now."""
        self._handle = handle
        if self.stopping:
            self._in_background(handle.stop)

    def stop(self) -> None:
        """What a first signal does."""
        if not self.stopping:
            self.stopping = True
            if self._handle is not None:
                self._in_background(self._handle.stop)

    def _hear(self, number: int, frame: object) -> None:
        if not self.stopping:
            if self._handle is None and not self._patient:
                raise Interrupted
            self.stop()
            if self._handle is None and number == _SIGINT:
                say("the pod is still being started; interrupt again to give up")
        elif number == _SIGINT:
            if self._handle is None:
                raise Interrupted
            self._in_background(self._handle.kill if self._killing else self._kill_apps)
            self._killing = True

    def _kill_apps(self) -> None:
        assert self._handle is not None
        self._handle.stop(grace_s=0.0)

    def _in_background(self, act: object) -> None:
        """In a thread, for the caller goes on passing the pod's output on; the pod's end ends that."""
        _thread.start_new_thread(_act, (act,))


def _act(act: object) -> None:
    try:
        act()  # type: ignore[operator]
    except (NotFound, Conflict):
        return  # it has ended by itself
    except CarobError as error:
        say_error(error)
