"""What a pod uses, look after look, on the loop."""

from __future__ import annotations

from carob.aio.waits import readable
from carob.engine.failures import Attempt
from carob.engine.usage.stats import Sampler, checked_interval_s
from carob.pod import open_pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from carob.aio.steps import Steps
    from carob.engine.usage.stats import PodStats
    from carob.pod import Pod


async def follow(
    data_dir: str, uuid: str, steps: Steps, *, interval_s: float
) -> AsyncGenerator[PodStats, None]:
    """One look after the other, each in a thread, until the pod ends."""
    interval_s = checked_interval_s(interval_s)

    def begin() -> tuple[Pod, Sampler]:
        pod = open_pod(data_dir, uuid)
        try:
            return pod, Sampler(pod)
        except BaseException:
            pod.close()
            raise

    with Attempt(f"pod {uuid} cannot be looked at", uuid):
        pod, sampler = await steps.run_or_undo(begin, _end)
        try:
            while (found := await steps.run(sampler.look)) is not None:
                yield found
                if await readable([sampler.fileno()], timeout_s=interval_s):
                    return
        finally:
            _end((pod, sampler))


def _end(opened: tuple[Pod, Sampler]) -> None:
    pod, sampler = opened
    sampler.close()
    pod.close()
