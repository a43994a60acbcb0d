"""A pod's launch plan, as engine reads it."""

from __future__ import annotations

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
