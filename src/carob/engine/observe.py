"""Looking at many pods at once."""

from __future__ import annotations

from carob.engine import status
from carob.pod import INCLUDE_MOST_DIRS, BrokenPod, pods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.status import PodStatus


def statuses(data_dir: str) -> list[PodStatus]:
    """The status of each pod that rkt's list shows; what is no pod is passed over."""
    return [status.read(pod) for pod in pods(data_dir, INCLUDE_MOST_DIRS) if not isinstance(pod, BrokenPod)]
