"""The two services of a run, and the figures of both."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bench.figure import Figure, Sample, Skipped, Target, Unmeasurable

if TYPE_CHECKING:
    from bench.cri_client import CriClient

PEER = "containerd"


class CriPair:
    """``ours`` and, where it can run, ``theirs``; ``why`` says why it cannot."""

    def __init__(self, place: str, rootfs: str) -> None:
        try:
            from bench import cri_services
        except ModuleNotFoundError as error:
            raise Unmeasurable(f"{error}: the service needs carob[service]") from error
        self._stack = contextlib.ExitStack()
        self.theirs: CriClient | None = None
        self.why = ""
        try:
            ours = cri_services.carob(os.path.join(place, "carob"), rootfs)
            self.ours: CriClient = self._stack.enter_context(ours)
            try:
                theirs = cri_services.containerd(os.path.join(place, PEER), rootfs)
                self.theirs = self._stack.enter_context(theirs)
            except Unmeasurable as error:
                self.why = str(error)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def clients(self) -> list[CriClient]:
        """Those that run, ours first."""
        return [self.ours] if self.theirs is None else [self.ours, self.theirs]

    def figure(
        self,
        what: str,
        samples: list[Sample],
        mode: str = "",
        *,
        unit: str = "ms",
        target: Target | None = None,
    ) -> Figure:
        """A line of the table, from a sample of each of ``clients``."""
        if len(samples) == 1:
            return Figure(what, samples[0], mode, unit, target=target)
        ours, theirs = samples
        return Figure(what, ours, mode, unit, PEER, theirs, target)

    def lacking(self) -> Iterator[Skipped]:
        """Says that the peer is missing, where it is."""
        if self.theirs is None:
            yield Skipped(f"CRI, beside {PEER}", self.why)
