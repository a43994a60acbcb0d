"""Garbage collection of pods, with what an engine knows of their processes and cgroups."""

from __future__ import annotations

import os

from carob.engine.end import networks as network_cleanup
from carob.engine.end.stop import clean_up
from carob.engine.observe import tombstone
from carob.engine.observe.keeper import is_over
from carob.linux import cgroup
from carob.pod.collect import Outcome, Policy, collect_garbage
from carob.protocol.plan import OWNERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod.collect import Collected


class Collection:
    """What one pass did: uuids of pods ``marked``, ``discarded`` and ``deleted``, and ``problems``, one line
    each.
    """

    __slots__ = ("deleted", "discarded", "marked", "problems")

    def __init__(self, collected: list[Collected], others: list[str]) -> None:
        by_outcome = {outcome: [one for one in collected if one.outcome is outcome] for outcome in Outcome}
        self.marked = [one.uuid for one in by_outcome[Outcome.MARKED]]
        self.discarded = [one.uuid for one in by_outcome[Outcome.DISCARDED]]
        self.deleted = [one.uuid for one in by_outcome[Outcome.DELETED]]
        self.problems = [f"{one.uuid}: {one.error}" for one in by_outcome[Outcome.FAILED]] + others

    def __repr__(self) -> str:
        return f"Collection(marked={self.marked}, deleted={self.deleted}, problems={self.problems})"


def collect(data_dir: str, *, grace_s: float, expire_prepared_s: float, mark_only: bool) -> Collection:
    """One pass over the pods of a data directory; see ``Engine.gc``."""
    policy = Policy(grace_s=grace_s, expire_prepared_s=expire_prepared_s, mark_only=mark_only)
    collected = collect_garbage(
        data_dir, policy, alive=lambda pod: not is_over(pod), clean_up=lambda pod: clean_up(pod, data_dir)
    )
    others = [] if mark_only else network_cleanup.collect(data_dir)
    tombstone.expire(data_dir)
    cgroup.remove_parent("/carob")
    if os.path.isdir(OWNERS):
        from carob.engine.prepare import ranges

        ranges.Ranges(()).sweep()
    return Collection(collected, others)
