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
    """The plan, that of apps that were added included.

    Raises ``FileNotFoundError`` where there is none, ``CorruptData`` where it is not whole.
    """
    plan = _read(pod, plans.PLAN)
    if plan.get("mutable"):
        from carob.engine.observe.status import app_names

        plan["apps"] = [part for name in app_names(pod) if (part := _part(pod, name))]
    return plan


def _part(pod: Pod, app: str) -> dict[str, Any] | None:
    try:
        return _read(pod, plans.app_plan(app))
    except FileNotFoundError:
        return None  # removed meanwhile


def _read(pod: Pod, name: str) -> dict[str, Any]:
    raw = read_file(name, dir_fd=pod.fd())
    try:
        return plans.read(raw)
    except ValueError as error:
        raise CorruptData(
            f"pod {pod.uuid}: {name} is not whole: {error}", hint=f"carob rm {pod.uuid}"
        ) from error


def has_networks(pod: Pod) -> bool:
    """Whether it was to be attached to any."""
    try:
        os.stat("carob/network/plan.json", dir_fd=pod.fd())
    except OSError:
        return False
    return True
