"""Failed system calls as errors of the tree, and the errors that only pods have."""

from __future__ import annotations

from carob.errors import Conflict
from carob.linux.failure import failed

__all__ = ["ChildNotReady", "ImmutablePod", "PodLocked", "failed"]


class ImmutablePod(Conflict):
    """The pod's manifest is fixed (rkt's ``ErrImmutable``)."""

    kind = "immutable pod"


class PodLocked(Conflict):
    """Another process holds the pod's lock; what was asked for may be possible in a moment."""

    kind = "pod locked"


class ChildNotReady(Conflict):
    """The process that is to become PID 1 of the pod is not there yet (rkt's ``ErrChildNotReady``)."""

    kind = "child not ready"
