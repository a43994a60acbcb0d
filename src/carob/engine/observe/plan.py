"""What a running pod was to become: its launch plan, and whether it has networks."""

from __future__ import annotations

import os

from carob.errors import CorruptData
from carob.linux.files import read_file
from carob.protocol import plan as plans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.pod import Pod


def read_plan(pod: Pod) -> dict[str, Any]:
    """The plan. Raises ``FileNotFoundError`` where there is none, ``CorruptData`` where it is not whole."""
    raw = read_file(plans.PLAN, dir_fd=pod.fd())
    try:
        return plans.read(raw)
    except ValueError as error:
        raise CorruptData(
            f"pod {pod.uuid}: {plans.PLAN} is not whole: {error}", hint=f"carob rm {pod.uuid}"
        ) from error


def has_networks(pod: Pod) -> bool:
    """Whether it was to be attached to any."""
    try:
        os.stat("carob/network/plan.json", dir_fd=pod.fd())
    except OSError:
        return False
    return True
