"""Pods that could not be looked at: what they use, nobody knows, so nothing may be taken away."""

from __future__ import annotations

import os

from carob.errors import Unavailable
from carob.pod.directory import pod_path
from carob.pod.identifier import fault_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod import BrokenPod


def refuse(data_dir: str, broken: BrokenPod, what: str) -> None:
    """Raises ``Unavailable`` where there may be a pod behind it, which may use any of ``what``.

    Files and directories with other names than pods have are nobody's.
    """
    if fault_of(broken.name):
        return
    path = pod_path(os.path.abspath(data_dir), broken.directory, broken.name)
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
        return
    raise Unavailable(
        f"cannot tell which {what} pod {broken.name} uses: {broken.reason}",
        hint="none is taken away before that is known",
    )
